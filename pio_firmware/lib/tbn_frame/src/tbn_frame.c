#include "tbn_frame.h"

static uint16_t read_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)(bytes[1] << 8));
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)read_u16(bytes) | (uint32_t)read_u16(bytes + 2) << 16;
}

/* Forget the first `count` bytes, and what follows them up to the next 'T'. */
static void drop(tbn_frame_reader *reader, uint32_t count)
{
    while (count < reader->count && reader->buffer[count] != 'T') {
        count++;
    }
    for (uint32_t i = count; i < reader->count; i++) {
        reader->buffer[i - count] = reader->buffer[i];
    }
    reader->count -= count;
}

void tbn_frame_reader_init(tbn_frame_reader *reader, uint8_t *buffer, uint32_t capacity)
{
    reader->buffer = buffer;
    reader->capacity = capacity;
    reader->count = 0;
    reader->consumed = 0;
    reader->wanted = TBN_FRAME_HEADER_BYTES;
}

uint8_t *tbn_frame_room(const tbn_frame_reader *reader, uint32_t *bytes)
{
    *bytes = reader->wanted - reader->count;
    return reader->buffer + reader->count;
}

void tbn_frame_added(tbn_frame_reader *reader, uint32_t bytes)
{
    reader->count += bytes;
}

tbn_frame_event tbn_frame_next(tbn_frame_reader *reader, tbn_frame *frame)
{
    const uint8_t *bytes = reader->buffer;
    if (reader->consumed > 0) {
        drop(reader, reader->consumed);
        reader->consumed = 0;
    }
    for (;;) {
        if (reader->count < TBN_FRAME_HEADER_BYTES) {
            reader->wanted = TBN_FRAME_HEADER_BYTES;
            return TBN_FRAME_PENDING;
        }
        const uint16_t length = read_u16(bytes + 6);
        const uint32_t end = TBN_FRAME_HEADER_BYTES + (uint32_t)length;
        if (bytes[0] != 'T' || bytes[1] != 'B' || bytes[2] != TBN_FRAME_VERSION || bytes[5] != 0 || end + 4 > reader->capacity) {
            drop(reader, 1);
            continue;
        }
        if (reader->count < end + 4) {
            reader->wanted = end + 4;
            return TBN_FRAME_PENDING;
        }
        frame->type = bytes[3];
        frame->sequence = bytes[4];
        frame->length = length;
        frame->payload = bytes + TBN_FRAME_HEADER_BYTES;
        if (tbn_crc32(0, bytes + 2, end - 2) != read_u32(bytes + end)) {
            drop(reader, 1);
            return TBN_FRAME_DAMAGED;
        }
        reader->consumed = end + 4;
        return TBN_FRAME_READY;
    }
}

void tbn_frame_send(void (*write)(uint8_t byte), uint8_t type, uint8_t sequence, const uint8_t *payload, uint16_t length)
{
    const uint8_t header[TBN_FRAME_HEADER_BYTES] = {
        'T', 'B', TBN_FRAME_VERSION, type, sequence, 0, (uint8_t)(length & 0xFFu), (uint8_t)(length >> 8)};
    uint32_t crc = tbn_crc32(0, header + 2, TBN_FRAME_HEADER_BYTES - 2);
    crc = tbn_crc32(crc, payload, length);
    for (uint32_t i = 0; i < TBN_FRAME_HEADER_BYTES; i++) {
        write(header[i]);
    }
    for (uint32_t i = 0; i < length; i++) {
        write(payload[i]);
    }
    for (uint32_t i = 0; i < 4; i++) {
        write((uint8_t)(crc >> (8 * i) & 0xFFu));
    }
}
