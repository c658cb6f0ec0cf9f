#include "device.h"

#include "model.h"
#include "tbn_frame.h"
#include "tbn_port.h"
#include "tbn_runtime.h"

#ifndef TBN_BOARD_NAME
#define TBN_BOARD_NAME "unknown"
#endif

/* The two kinds of generated models: integers out, or float32. */
#ifdef TBN_MODEL_OUTPUT_SCALE
#define OUTPUT_SCALE TBN_MODEL_OUTPUT_SCALE
enum { OUTPUT_TYPE = 1 };
typedef int32_t model_output;
static tbn_model_arena tbn_device_arena;
#define RUN_MODEL(input, bytes, outputs) tbn_model_run(input, bytes, &tbn_device_arena, outputs, TBN_MODEL_OUTPUTS)
#define PUT_OUTPUT(to, value) put_u32(to, (uint32_t)(value))
#else
#define OUTPUT_SCALE 1.0f
enum { OUTPUT_TYPE = 0 };
typedef float model_output;
static float tbn_device_arena[TBN_MODEL_ARENA_FLOATS];
#define RUN_MODEL(input, bytes, outputs)                                                                                                       \
    tbn_model_run(input, bytes, tbn_device_arena, TBN_MODEL_ARENA_FLOATS, outputs, TBN_MODEL_OUTPUTS)
#define PUT_OUTPUT(to, value) put_f32(to, value)
#endif

enum {
    INFO_BYTES = 28,
    HASH_BYTES = sizeof TBN_MODEL_HASH - 1,
    NAME_BYTES = sizeof TBN_BOARD_NAME - 1,
    SELF_TEST_BYTES = 8,
    REQUEST_BYTES = TBN_MODEL_INPUT_BYTES > SELF_TEST_BYTES ? TBN_MODEL_INPUT_BYTES : SELF_TEST_BYTES,
    INFO_REPLY_BYTES = INFO_BYTES + HASH_BYTES + NAME_BYTES,
    INFER_REPLY_BYTES = 4 + 4 * TBN_MODEL_OUTPUTS,
    REPLY_BYTES = INFO_REPLY_BYTES > INFER_REPLY_BYTES ? INFO_REPLY_BYTES : INFER_REPLY_BYTES
};

TBN_STATIC_ASSERT(TBN_MODEL_INPUT_BYTES <= 65535, "an input has to fit into one frame");
TBN_STATIC_ASSERT(REPLY_BYTES <= 65535, "a reply has to fit into one frame");
TBN_STATIC_ASSERT(HASH_BYTES == 16, "INFO has 16 places for the model's hash");

static uint8_t tbn_device_request[TBN_FRAME_OVERHEAD + (uint32_t)REQUEST_BYTES];
/* The model writes its outputs where the reply needs them: behind the four bytes of the ticks. */
static union {
    uint8_t bytes[REPLY_BYTES];
    model_output numbers[1 + TBN_MODEL_OUTPUTS];
} tbn_device_reply;
static tbn_frame_reader tbn_device_reader;
static uint32_t tbn_device_silent_since; /* ticks, while tbn_device_silent */
static uint8_t tbn_device_silent;

static uint8_t *put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i) & 0xFFu);
    }
    return to + 4;
}

static uint8_t *put_f32(uint8_t *to, float value)
{
    union {
        float value;
        uint32_t pattern;
    } number = {value};
    return put_u32(to, number.pattern);
}

static uint8_t *put_text(uint8_t *to, const char *text)
{
    while (*text != '\0') {
        *to++ = (uint8_t)*text++;
    }
    return to;
}

static uint32_t take_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void answer(uint8_t type, const tbn_frame *request, const uint8_t *end)
{
    const uint8_t *const start = tbn_device_reply.bytes;
    tbn_frame_send(tbn_port_write, type, request->sequence, start, (uint16_t)(end - start));
}

static void answer_error(const tbn_frame *request, device_error error, uint32_t number)
{
    tbn_device_reply.bytes[0] = (uint8_t)error;
    answer(TBN_FRAME_ERROR_REPLY, request, put_u32(tbn_device_reply.bytes + 1, number));
}

static void answer_info(const tbn_frame *request)
{
    uint8_t *to = tbn_device_reply.bytes;
    *to++ = DEVICE_PROTOCOL;
    *to++ = 0;
    *to++ = (uint8_t)tbn_port_tick_unit();
    *to++ = OUTPUT_TYPE;
    to = put_u32(to, tbn_port_ticks_per_second());
    to = put_u32(to, TBN_MODEL_INPUT_BYTES);
    to = put_u32(to, TBN_MODEL_OUTPUTS);
    to = put_u32(to, TBN_MODEL_WEIGHT_BYTES);
    to = put_u32(to, (uint32_t)sizeof tbn_device_arena);
    to = put_f32(to, OUTPUT_SCALE);
    to = put_text(to, TBN_MODEL_HASH);
    to = put_text(to, TBN_BOARD_NAME);
    answer(TBN_FRAME_INFO_REPLY, request, to);
}

/* Run the model; the reply then holds the ticks and the outputs, little-endian. */
static tbn_status infer(const uint8_t *input, uint32_t bytes, uint32_t *ticks)
{
    const uint32_t start = tbn_port_ticks();
    const tbn_status status = RUN_MODEL(input, bytes, tbn_device_reply.numbers + 1);
    *ticks = tbn_port_ticks() - start;
    uint8_t *to = put_u32(tbn_device_reply.bytes, *ticks);
    for (uint32_t i = 0; i < TBN_MODEL_OUTPUTS; i++) {
        to = PUT_OUTPUT(to, tbn_device_reply.numbers[1 + i]);
    }
    return status;
}

static void answer_infer(const tbn_frame *request)
{
    uint32_t ticks;
    const tbn_status status = infer(request->payload, request->length, &ticks);
    if (status == TBN_OK) {
        answer(TBN_FRAME_INFER_REPLY, request, tbn_device_reply.bytes + INFER_REPLY_BYTES);
    } else {
        answer_error(request, DEVICE_ERROR_MODEL, (uint32_t)status);
    }
}

static void expect_frame(void)
{
    tbn_frame_reader_init(&tbn_device_reader, tbn_device_request, sizeof tbn_device_request);
}

/* The next input of the stream (PROTOCOL.md): xorshift32, four bytes a step, the last step's rest unused. */
static void make_input(uint8_t *input, uint32_t *state)
{
    uint32_t word = *state;
    for (uint32_t i = 0; i < TBN_MODEL_INPUT_BYTES; i++) {
        if (i % 4 == 0) {
            word ^= word << 13;
            word ^= word >> 17;
            word ^= word << 5;
        }
        input[i] = (uint8_t)(word >> (8 * (i % 4)) & 0xFFu);
    }
    *state = word;
}

static void answer_self_test(const tbn_frame *request)
{
    uint32_t state = take_u32(request->payload);
    const uint32_t count = take_u32(request->payload + 4);
    uint32_t crc = 0;
    uint32_t ticks = 0;
    if (count > DEVICE_SELF_TEST_MOST) {
        answer_error(request, DEVICE_ERROR_COUNT, DEVICE_SELF_TEST_MOST);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        make_input(tbn_device_request, &state); /* over the request, which has been read */
        const tbn_status status = infer(tbn_device_request, TBN_MODEL_INPUT_BYTES, &ticks);
        if (status != TBN_OK) {
            answer_error(request, DEVICE_ERROR_MODEL, (uint32_t)status);
            expect_frame();
            return;
        }
        crc = tbn_crc32(crc, tbn_device_reply.bytes + 4, INFER_REPLY_BYTES - 4);
    }
    expect_frame();
    answer(TBN_FRAME_SELF_TEST_REPLY, request, put_u32(put_u32(tbn_device_reply.bytes, crc), ticks));
}

static void answer_request(const tbn_frame *request)
{
    uint32_t expected = 0;
    void (*reply)(const tbn_frame *) = answer_info;
    if (request->type == TBN_FRAME_INFER) {
        expected = TBN_MODEL_INPUT_BYTES;
        reply = answer_infer;
    } else if (request->type == TBN_FRAME_SELF_TEST) {
        expected = SELF_TEST_BYTES;
        reply = answer_self_test;
    } else if (request->type != TBN_FRAME_INFO) {
        answer_error(request, DEVICE_ERROR_TYPE, request->type);
        return;
    }
    if (request->length == expected) {
        reply(request);
    } else {
        answer_error(request, DEVICE_ERROR_LENGTH, expected);
    }
}

void device_init(void)
{
    tbn_port_init();
    expect_frame();
}

/* A sender that stops inside a frame has given up: what came of it is dropped after a quarter of a second, or the next frame would be
 * taken for its rest. */
static void on_silence(void)
{
    const uint32_t now = tbn_port_ticks();
    if (!tbn_device_silent) {
        tbn_device_silent = 1;
        tbn_device_silent_since = now;
    } else if (now - tbn_device_silent_since > tbn_port_ticks_per_second() / 4) {
        expect_frame();
    }
}

void device_poll(void)
{
    uint32_t wanted;
    uint8_t *const room = tbn_frame_room(&tbn_device_reader, &wanted);
    const uint32_t received = tbn_port_read(room, wanted);
    if (received == 0) {
        on_silence();
        return;
    }
    tbn_device_silent = 0;
    tbn_frame_added(&tbn_device_reader, received);
    tbn_frame frame;
    tbn_frame_event event;
    while ((event = tbn_frame_next(&tbn_device_reader, &frame)) != TBN_FRAME_PENDING) {
        if (event == TBN_FRAME_READY) {
            answer_request(&frame);
        } else {
            answer_error(&frame, DEVICE_ERROR_DAMAGED, 0);
        }
    }
}
