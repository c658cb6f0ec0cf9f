/* The board's side of the conversation: answers requests about the model that it was built with. PROTOCOL.md describes it byte by byte.
 *
 * INFO       request: no payload. Reply: u8 DEVICE_PROTOCOL, u8 input type (0: raw bytes), u8 tick unit (0: core clocks, 1: microseconds),
 *            u8 output type (0: float32, 1: int32), u32 ticks a second, u32 input bytes, u32 outputs, u32 weight bytes, u32 arena bytes,
 *            float32 output scale (1 for float32), 16 characters of the model's hash, board name.
 * INFER      request: the raw input bytes. Reply: u32 ticks that the model took, then the outputs.
 * SELF_TEST  request: u32 seed, u32 count. The board makes `count` inputs itself and runs the model on each. Reply: u32 CRC-32 of all outputs
 *            as INFER would send them, u32 ticks of the last run.
 * ERROR      reply: u8 device_error, then u32 a number that explains it.
 * All numbers are little-endian.
 */
#ifndef DEVICE_H
#define DEVICE_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DEVICE_PROTOCOL = 2,
    DEVICE_SELF_TEST_MOST = 1000 /* inputs: a board that computes hears nothing */
};

typedef enum {
    DEVICE_ERROR_DAMAGED = 1, /* the CRC was wrong: send it again */
    DEVICE_ERROR_TYPE = 2,    /* unknown type; the number is the type */
    DEVICE_ERROR_LENGTH = 3,  /* wrong length of payload; the number is the right one */
    DEVICE_ERROR_MODEL = 4,   /* the model refused; the number is its tbn_status */
    DEVICE_ERROR_COUNT = 5    /* a self-test of too many inputs; the number is the most */
} device_error;

void device_init(void);
void device_poll(void); /* takes the bytes that have come in, answers when a request is complete */

#ifdef __cplusplus
}
#endif
#endif
