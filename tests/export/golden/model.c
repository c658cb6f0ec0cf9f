/* example, Sequential. Generated; a new export replaces it.
 * Model 43b2a386619010da: 164 bytes of weights, 1408 bytes of arena.
 */
#include "model.h"

/* fc1: 32 x 64, p = 4: a tile of 512 signs, 8 rows computed, each written 4 times; ReLU */
static const uint8_t tbn_layer_fc1_tile[64] TBN_FLASH = {
    0xb3, 0xba, 0x75, 0xfd, 0x55, 0x08, 0xc4, 0x45, 0xce, 0x04, 0xcc, 0xfb, 0x0a, 0xd6, 0x44, 0x04, 0x3a, 0x12, 0x38, 0x3f,
    0xa1, 0x66, 0x16, 0xb6, 0x8c, 0xe5, 0xf2, 0x5d, 0x0e, 0x84, 0x84, 0x47, 0xc6, 0xe5, 0xf7, 0xdf, 0x21, 0xad, 0x4b, 0x40,
    0x80, 0x88, 0xf0, 0x6e, 0x90, 0x8c, 0xe8, 0xea, 0x55, 0xde, 0xe5, 0x88, 0x2f, 0xbb, 0x76, 0x76, 0xd2, 0x8e, 0xa9, 0x43,
    0x09, 0x68, 0xbd, 0xa4,
};
TBN_STATIC_ASSERT(sizeof tbn_layer_fc1_tile == (512 + 7) / 8, "8 signs a byte");

static const float tbn_layer_fc1_alphas[4] TBN_FLASH = {
    0.421875f, 0.828125f, 0.984375f, 0.28125f,
};

static const tbn_tiled_layer tbn_layer_fc1 = {
    .rows = 32,
    .row_length = 64,
    .tiles = 4,
    .copies = 4,
    .alpha_count = 4,
    .activation = TBN_RELU,
    .tile = tbn_layer_fc1_tile,
    .alphas = tbn_layer_fc1_alphas,
    .bias = NULL,
};

/* head: 10 x 32, p = 1: a tile of 320 signs, 10 rows computed, each written 1 times */
static const uint8_t tbn_layer_head_tile[40] TBN_FLASH = {
    0x49, 0x24, 0x86, 0x75, 0xc7, 0xe8, 0x1a, 0x1b, 0x0e, 0xb7, 0xe3, 0x07, 0x6c, 0x8d, 0x3e, 0x82, 0xfa, 0xc8, 0x22, 0x71,
    0x72, 0xc9, 0x99, 0xdf, 0x0b, 0xd9, 0x71, 0xdd, 0x2b, 0x51, 0x58, 0x87, 0x9d, 0xa4, 0xe8, 0x12, 0x9c, 0xec, 0xf4, 0x34,
};
TBN_STATIC_ASSERT(sizeof tbn_layer_head_tile == (320 + 7) / 8, "8 signs a byte");

static const float tbn_layer_head_alphas[1] TBN_FLASH = {
    0.484375f,
};

static const float tbn_layer_head_bias[10] TBN_FLASH = {
    1.5625f, -0.25f, 0.4375f, -1.75f, 1.3125f, -0.25f, -0.0625f, -1.625f,
    0.75f, 0.5f,
};

static const tbn_tiled_layer tbn_layer_head = {
    .rows = 10,
    .row_length = 32,
    .tiles = 1,
    .copies = 1,
    .alpha_count = 1,
    .activation = TBN_NO_ACTIVATION,
    .tile = tbn_layer_head_tile,
    .alphas = tbn_layer_head_alphas,
    .bias = tbn_layer_head_bias,
};

tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, float *arena, uint32_t arena_floats, float *outputs,
                         uint32_t output_count)
{
    if (input == NULL || arena == NULL || outputs == NULL) {
        return TBN_ERROR_NULL;
    }
    if (input_bytes != TBN_MODEL_INPUT_BYTES || arena_floats < TBN_MODEL_ARENA_FLOATS || output_count < TBN_MODEL_OUTPUTS) {
        return TBN_ERROR_BUFFER;
    }
    float *const first = arena;
    float *const second = arena + 64;
    float *const table = arena + 96;
    tbn_status status = tbn_scale_input(input, TBN_MODEL_INPUT_BYTES, 0.00392156886f, -0.25f, first, 64);
    if (status == TBN_OK) {
        status = tbn_fully_connected_tiled(&tbn_layer_fc1, first, 64, second, 32, table, TBN_TABLE_FLOATS);
    }
    if (status == TBN_OK) {
        status = tbn_fully_connected_tiled(&tbn_layer_head, second, 32, outputs, 10, table, TBN_TABLE_FLOATS);
    }
    return status;
}
