/* tbn_frame: packets over a serial line.
 *
 *   byte 0, 1   'T' 'B'
 *   byte 2      TBN_FRAME_VERSION
 *   byte 3      type (tbn_frame_type)
 *   byte 4      sequence number; a reply repeats its request's
 *   byte 5      0
 *   byte 6, 7   n, bytes of payload, little-endian
 *   byte 8 ..   payload
 *   last 4      CRC-32 (the one of zip and Ethernet) of byte 2 to the end of the payload, little-endian
 *
 * One side asks, the other answers; nobody sends while the other does, nor pauses for a quarter of a second inside a frame. A damaged frame
 * is not skipped as a whole: the search for the next 'T' 'B' starts at its second byte, so a good frame that a wrong length swallowed is
 * found again.
 */
#ifndef TBN_FRAME_H
#define TBN_FRAME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TBN_FRAME_VERSION = 1, /* of the frame, not of what it carries */
    TBN_FRAME_HEADER_BYTES = 8,
    TBN_FRAME_OVERHEAD = 12 /* header and CRC */
};

typedef enum {
    TBN_FRAME_INFO = 0x01,
    TBN_FRAME_INFER = 0x02,
    TBN_FRAME_SELF_TEST = 0x03,
    TBN_FRAME_INFO_REPLY = 0x81,
    TBN_FRAME_INFER_REPLY = 0x82,
    TBN_FRAME_SELF_TEST_REPLY = 0x83,
    TBN_FRAME_ERROR_REPLY = 0xFF
} tbn_frame_type;

typedef struct {
    uint8_t type;
    uint8_t sequence;
    uint16_t length;
    const uint8_t *payload; /* in the reader's buffer, valid until the next tbn_frame_next */
} tbn_frame;

typedef struct {
    uint8_t *buffer; /* the caller's */
    uint32_t capacity;
    uint32_t count;    /* bytes in the buffer */
    uint32_t consumed; /* of them, in the frame that was handed out */
    uint32_t wanted;   /* bytes that tbn_frame_next waits for */
} tbn_frame_reader;

typedef enum { TBN_FRAME_PENDING, TBN_FRAME_READY, TBN_FRAME_DAMAGED } tbn_frame_event;

/* `buffer` holds the longest frame: TBN_FRAME_OVERHEAD + longest payload. */
void tbn_frame_reader_init(tbn_frame_reader *reader, uint8_t *buffer, uint32_t capacity);

/* Where the next bytes belong, and how many are wanted (at least one). */
uint8_t *tbn_frame_room(const tbn_frame_reader *reader, uint32_t *bytes);

/* So many bytes were put there. Call tbn_frame_next until it says TBN_FRAME_PENDING, then ask for room again. */
void tbn_frame_added(tbn_frame_reader *reader, uint32_t bytes);

/* TBN_FRAME_READY: `frame` is filled in. TBN_FRAME_DAMAGED: a frame with a wrong CRC was dropped; its sequence number is in `frame`. */
tbn_frame_event tbn_frame_next(tbn_frame_reader *reader, tbn_frame *frame);

void tbn_frame_send(void (*write)(uint8_t byte), uint8_t type, uint8_t sequence, const uint8_t *payload, uint16_t length);

/* Continue a CRC-32; start with 0. */
uint32_t tbn_crc32(uint32_t crc, const uint8_t *bytes, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
