/* example, MLP 64-32-10. Generated; a new export replaces it.
 * Model fe247e0262f97ad7: 198 bytes of weights, 584 bytes of arena.
 */
#include "model.h"

/* fc1: fully connected, 32 x 64, a tile of 512 signs, p = 4: 8 rows computed, in blocks of inputs */
static const uint8_t tbn_0_fc1_tile[64] TBN_FLASH = {
    0xb3, 0xba, 0x75, 0xfd, 0x55, 0x08, 0xc4, 0x45, 0xce, 0x04, 0xcc, 0xfb, 0x0a, 0xd6, 0x44, 0x04, 0x3a, 0x12, 0x38, 0x3f,
    0xa1, 0x66, 0x16, 0xb6, 0x8c, 0xe5, 0xf2, 0x5d, 0x0e, 0x84, 0x84, 0x47, 0xc6, 0xe5, 0xf7, 0xdf, 0x21, 0xad, 0x4b, 0x40,
    0x80, 0x88, 0xf0, 0x6e, 0x90, 0x8c, 0xe8, 0xea, 0x55, 0xde, 0xe5, 0x88, 0x2f, 0xbb, 0x76, 0x76, 0xd2, 0x8e, 0xa9, 0x43,
    0x09, 0x68, 0xbd, 0xa4,
};
static const int16_t tbn_0_fc1_multipliers[4] TBN_FLASH = {
    9216, 18091, 21504, 6144,
};
static const int16_t tbn_0_fc1_biases[32] TBN_FLASH = {
    17536, 10624, 14080, 12928, 19840, 9472, 23296, 12928, 18645, 5077, 11861, 9600, 23168, 2816, 29952, 9600, 19072, 2944, 11008, 8320,
    24448, 256, 32512, 8320, 17152, 12544, 14848, 14080, 18688, 11776, 20992, 14080,
};
static const tbn_integer_layer tbn_0_fc1 = {
    .rows = 32,
    .row_length = 64,
    .distinct_rows = 8,
    .tile_length = 512,
    .sums = 8,
    .groups = 1,
    .multiplier_count = 4,
    .bias_count = 32,
    .tile = tbn_0_fc1_tile,
    .weights = NULL,
    .multipliers = tbn_0_fc1_multipliers,
    .biases = tbn_0_fc1_biases,
    .zero = 64,
    .sum_shift = 0,
    .bias_shift = 2,
    .shift = 17,
    .low = 0,
    .high = 255,
};

/* head: fully connected, 10 x 32, a tile of 320 signs, p = 1: 10 rows computed, in blocks of inputs */
static const uint8_t tbn_1_head_tile[40] TBN_FLASH = {
    0x49, 0x24, 0x86, 0x75, 0xc7, 0xe8, 0x1a, 0x1b, 0x0e, 0xb7, 0xe3, 0x07, 0x6c, 0x8d, 0x3e, 0x82, 0xfa, 0xc8, 0x22, 0x71,
    0x72, 0xc9, 0x99, 0xdf, 0x0b, 0xd9, 0x71, 0xdd, 0x2b, 0x51, 0x58, 0x87, 0x9d, 0xa4, 0xe8, 0x12, 0x9c, 0xec, 0xf4, 0x34,
};
static const int16_t tbn_1_head_multipliers[1] TBN_FLASH = {
    32767,
};
static const int16_t tbn_1_head_biases[10] TBN_FLASH = {
    17548, -2808, 4913, -19654, 14740, -2808, -702, -18250, 8423, 5615,
};
static const tbn_integer_layer tbn_1_head = {
    .rows = 10,
    .row_length = 32,
    .distinct_rows = 10,
    .tile_length = 320,
    .sums = 10,
    .groups = 1,
    .multiplier_count = 1,
    .bias_count = 10,
    .tile = tbn_1_head_tile,
    .weights = NULL,
    .multipliers = tbn_1_head_multipliers,
    .biases = tbn_1_head_biases,
    .zero = 0,
    .sum_shift = 0,
    .bias_shift = 8,
    .shift = 0,
    .low = 0,
    .high = 255,
};

tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count)
{
    if (input == NULL || arena == NULL || outputs == NULL) {
        return TBN_ERROR_NULL;
    }
    if (input_bytes != TBN_MODEL_INPUT_BYTES || output_count < TBN_MODEL_OUTPUTS) {
        return TBN_ERROR_BUFFER;
    }
    const tbn_integer_scratch scratch = {
        .block = &arena->block,
        .sums = arena->sums,
        .sum_count = 10,
        .patch = NULL,
        .patch_count = 0,
    };
    tbn_status status = tbn_integer_fully_connected(&tbn_0_fc1, input, 64, arena->codes, 32, &scratch);
    if (status == TBN_OK) {
        status = tbn_integer_outputs(&tbn_1_head, arena->codes, 32, outputs, 10, &scratch);
    }
    return status;
}

tbn_status tbn_model_shares(const int32_t *outputs, uint32_t output_count, uint16_t *shares)
{
    const tbn_integer_rate rate = {
        .factor = 34483u,
        .beyond = 33878040u,
        .before = 11,
        .behind = 17,
    };
    return tbn_integer_softmax(&rate, outputs, output_count, shares);
}
