#include "device.h"

#include "model.h"
#include "tbn_frame.h"
#include "tbn_port.h"
#include "tbn_runtime.h"

#ifndef TBN_BOARD_NAME
#define TBN_BOARD_NAME "unknown"
#endif

enum {
    INFO_BYTES = 24,
    HASH_BYTES = sizeof TBN_MODEL_HASH - 1,
    NAME_BYTES = sizeof TBN_BOARD_NAME - 1,
    INFO_REPLY_BYTES = INFO_BYTES + HASH_BYTES + NAME_BYTES,
    INFER_REPLY_BYTES = 4 + 4 * TBN_MODEL_OUTPUTS,
    REPLY_BYTES = INFO_REPLY_BYTES > INFER_REPLY_BYTES ? INFO_REPLY_BYTES : INFER_REPLY_BYTES
};

TBN_STATIC_ASSERT(TBN_MODEL_INPUT_BYTES <= 65535, "an input has to fit into one frame");
TBN_STATIC_ASSERT(REPLY_BYTES <= 65535, "a reply has to fit into one frame");

static uint8_t tbn_device_request[TBN_FRAME_OVERHEAD + TBN_MODEL_INPUT_BYTES];
static uint8_t tbn_device_reply[REPLY_BYTES];
static float tbn_device_outputs[TBN_MODEL_OUTPUTS];
static float tbn_model_arena[TBN_MODEL_ARENA_FLOATS];
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

static void answer(uint8_t type, const tbn_frame *request, const uint8_t *end)
{
    tbn_frame_send(tbn_port_write, type, request->sequence, tbn_device_reply, (uint16_t)(end - tbn_device_reply));
}

static void answer_error(const tbn_frame *request, device_error error, uint32_t number)
{
    tbn_device_reply[0] = (uint8_t)error;
    answer(TBN_FRAME_ERROR_REPLY, request, put_u32(tbn_device_reply + 1, number));
}

static void answer_info(const tbn_frame *request)
{
    uint8_t *to = tbn_device_reply;
    *to++ = TBN_FRAME_VERSION;
    *to++ = 0;
    *to++ = (uint8_t)tbn_port_tick_unit();
    *to++ = 0;
    to = put_u32(to, tbn_port_ticks_per_second());
    to = put_u32(to, TBN_MODEL_INPUT_BYTES);
    to = put_u32(to, TBN_MODEL_OUTPUTS);
    to = put_u32(to, TBN_MODEL_WEIGHT_BYTES);
    to = put_u32(to, (uint32_t)sizeof tbn_model_arena);
    to = put_text(to, TBN_MODEL_HASH);
    to = put_text(to, TBN_BOARD_NAME);
    answer(TBN_FRAME_INFO_REPLY, request, to);
}

static void answer_infer(const tbn_frame *request)
{
    const uint32_t start = tbn_port_ticks();
    const tbn_status status = tbn_model_run(request->payload, request->length, tbn_model_arena, TBN_MODEL_ARENA_FLOATS, tbn_device_outputs,
                                            TBN_MODEL_OUTPUTS);
    const uint32_t ticks = tbn_port_ticks() - start;
    if (status != TBN_OK) {
        answer_error(request, DEVICE_ERROR_MODEL, (uint32_t)status);
        return;
    }
    uint8_t *to = put_u32(tbn_device_reply, ticks);
    for (uint32_t i = 0; i < TBN_MODEL_OUTPUTS; i++) {
        to = put_f32(to, tbn_device_outputs[i]);
    }
    answer(TBN_FRAME_INFER_REPLY, request, to);
}

static void answer_request(const tbn_frame *request)
{
    const uint32_t expected = request->type == TBN_FRAME_INFER ? TBN_MODEL_INPUT_BYTES : 0;
    if (request->type != TBN_FRAME_INFO && request->type != TBN_FRAME_INFER) {
        answer_error(request, DEVICE_ERROR_TYPE, request->type);
    } else if (request->length != expected) {
        answer_error(request, DEVICE_ERROR_LENGTH, expected);
    } else if (request->type == TBN_FRAME_INFO) {
        answer_info(request);
    } else {
        answer_infer(request);
    }
}

void device_init(void)
{
    tbn_port_init();
    tbn_frame_reader_init(&tbn_device_reader, tbn_device_request, sizeof tbn_device_request);
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
        tbn_frame_reader_init(&tbn_device_reader, tbn_device_request, sizeof tbn_device_request);
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
