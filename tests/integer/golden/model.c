/* example. Generated; a new export replaces it.
 * Model 31aea611bdd0c23f: 550 bytes of weights, 1208 bytes of arena.
 */
#include "model.h"

/* sizes of the images between operations */
static const tbn_image tbn_image_0 = {
    .channels = 2,
    .height = 6,
    .width = 6,
};
static const tbn_image tbn_image_1 = {
    .channels = 4,
    .height = 6,
    .width = 6,
};
static const tbn_image tbn_image_2 = {
    .channels = 4,
    .height = 6,
    .width = 6,
};
static const tbn_image tbn_image_3 = {
    .channels = 4,
    .height = 6,
    .width = 6,
};
static const tbn_image tbn_image_5 = {
    .channels = 4,
    .height = 6,
    .width = 6,
};
static const tbn_image tbn_image_6 = {
    .channels = 4,
    .height = 3,
    .width = 3,
};
static const tbn_image tbn_image_10 = {
    .channels = 4,
    .height = 1,
    .width = 32,
};
static const tbn_image tbn_image_12 = {
    .channels = 4,
    .height = 1,
    .width = 1,
};

/* conv: convolution, 4 x 18, a tile of 24 signs, p = 3: 4 rows computed, sign by sign */
static const uint8_t tbn_0_conv_tile[3] TBN_FLASH = {
    0xb3, 0xba, 0x75,
};
static const int16_t tbn_0_conv_multipliers[3] TBN_FLASH = {
    30009, 14066, 16857,
};
static const int16_t tbn_0_conv_biases[4] TBN_FLASH = {
    17503, 12682, 14299, 8285,
};
static const tbn_integer_layer tbn_0_conv = {
    .rows = 4,
    .row_length = 18,
    .distinct_rows = 4,
    .tile_length = 24,
    .sums = 6,
    .groups = 1,
    .multiplier_count = 3,
    .bias_count = 4,
    .tile = tbn_0_conv_tile,
    .weights = NULL,
    .multipliers = tbn_0_conv_multipliers,
    .biases = tbn_0_conv_biases,
    .zero = 73,
    .sum_shift = 0,
    .bias_shift = 12,
    .shift = 18,
    .low = 51,
    .high = 229,
};
static const tbn_window tbn_0_conv_window = {
    .kernel_height = 3,
    .kernel_width = 3,
    .stride_y = 1,
    .stride_x = 1,
    .top = 1,
    .left = 1,
    .dilation_y = 1,
    .dilation_x = 1,
};

/* gelu: Table */
static const uint8_t tbn_1_gelu_table[256] TBN_FLASH = {
    0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1, 0xf0, 0xef, 0xee, 0xed, 0xec,
    0xeb, 0xea, 0xe9, 0xe8, 0xe7, 0xe6, 0xe5, 0xe4, 0xe3, 0xe2, 0xe1, 0xe0, 0xdf, 0xde, 0xdd, 0xdc, 0xdb, 0xda, 0xd9, 0xd8,
    0xd7, 0xd6, 0xd5, 0xd4, 0xd3, 0xd2, 0xd1, 0xd0, 0xcf, 0xce, 0xcd, 0xcc, 0xcb, 0xca, 0xc9, 0xc8, 0xc7, 0xc6, 0xc5, 0xc4,
    0xc3, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe, 0xbd, 0xbc, 0xbb, 0xba, 0xb9, 0xb8, 0xb7, 0xb6, 0xb5, 0xb4, 0xb3, 0xb2, 0xb1, 0xb0,
    0xaf, 0xae, 0xad, 0xac, 0xab, 0xaa, 0xa9, 0xa8, 0xa7, 0xa6, 0xa5, 0xa4, 0xa3, 0xa2, 0xa1, 0xa0, 0x9f, 0x9e, 0x9d, 0x9c,
    0x9b, 0x9a, 0x99, 0x98, 0x97, 0x96, 0x95, 0x94, 0x93, 0x92, 0x91, 0x90, 0x8f, 0x8e, 0x8d, 0x8c, 0x8b, 0x8a, 0x89, 0x88,
    0x87, 0x86, 0x85, 0x84, 0x83, 0x82, 0x81, 0x80, 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x7a, 0x79, 0x78, 0x77, 0x76, 0x75, 0x74,
    0x73, 0x72, 0x71, 0x70, 0x6f, 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x69, 0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61, 0x60,
    0x5f, 0x5e, 0x5d, 0x5c, 0x5b, 0x5a, 0x59, 0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, 0x50, 0x4f, 0x4e, 0x4d, 0x4c,
    0x4b, 0x4a, 0x49, 0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41, 0x40, 0x3f, 0x3e, 0x3d, 0x3c, 0x3b, 0x3a, 0x39, 0x38,
    0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, 0x30, 0x2f, 0x2e, 0x2d, 0x2c, 0x2b, 0x2a, 0x29, 0x28, 0x27, 0x26, 0x25, 0x24,
    0x23, 0x22, 0x21, 0x20, 0x1f, 0x1e, 0x1d, 0x1c, 0x1b, 0x1a, 0x19, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x10,
    0x0f, 0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x00,
};

/* depthwise: convolution, 4 x 9, a tile of 36 signs, p = 1: 4 rows computed, in blocks of inputs */
static const uint8_t tbn_2_depthwise_tile[5] TBN_FLASH = {
    0x49, 0x24, 0x86, 0x75, 0x07,
};
static const int16_t tbn_2_depthwise_multipliers[4] TBN_FLASH = {
    -12861, -18332, -9273, 6488,
};
static const int16_t tbn_2_depthwise_biases[4] TBN_FLASH = {
    15323, 5825, 12336, 17789,
};
static const tbn_integer_layer tbn_2_depthwise = {
    .rows = 4,
    .row_length = 9,
    .distinct_rows = 4,
    .tile_length = 36,
    .sums = 4,
    .groups = 4,
    .multiplier_count = 4,
    .bias_count = 4,
    .tile = tbn_2_depthwise_tile,
    .weights = NULL,
    .multipliers = tbn_2_depthwise_multipliers,
    .biases = tbn_2_depthwise_biases,
    .zero = 12,
    .sum_shift = 0,
    .bias_shift = 10,
    .shift = 17,
    .low = 36,
    .high = 250,
};
static const tbn_window tbn_2_depthwise_window = {
    .kernel_height = 3,
    .kernel_width = 3,
    .stride_y = 1,
    .stride_x = 1,
    .top = 1,
    .left = 1,
    .dilation_y = 1,
    .dilation_x = 1,
};

/* norm: Affine */
static const int16_t tbn_3_norm_multipliers[4] TBN_FLASH = {
    20000, 12000, -9000, 16000,
};
static const int16_t tbn_3_norm_biases[4] TBN_FLASH = {
    4000, -3000, 25000, 8000,
};
static const tbn_integer_channels tbn_3_norm = {
    .channels = 4,
    .multipliers = tbn_3_norm_multipliers,
    .biases = tbn_3_norm_biases,
    .zero = 40,
    .bias_shift = 6,
    .shift = 14,
    .low = 0,
    .high = 255,
};

/* add: Add */
static const tbn_integer_sum tbn_4_add = {
    .multiplier = 700000,
    .other_multiplier = 500000,
    .bias = -16777216,
    .shift = 20,
    .low = 0,
    .high = 255,
};

/* pool: MaxPool */
static const tbn_window tbn_5_pool_window = {
    .kernel_height = 3,
    .kernel_width = 3,
    .stride_y = 2,
    .stride_x = 2,
    .top = 1,
    .left = 1,
    .dilation_y = 1,
    .dilation_x = 1,
};

/* turn: Swap */
static const tbn_axes tbn_6_turn = {
    .outer = 1,
    .rows = 4,
    .columns = 36,
    .inner = 1,
};

/* tokens: fully connected, 8 x 4, a tile of 16 signs, p = 2: 4 rows computed, in blocks of inputs */
static const uint8_t tbn_7_tokens_tile[2] TBN_FLASH = {
    0xbf, 0xc7,
};
static const int16_t tbn_7_tokens_multipliers[2] TBN_FLASH = {
    26869, 18811,
};
static const int16_t tbn_7_tokens_biases[8] TBN_FLASH = {
    -1637, 5953, 6531, -1837, -1757, 20141, 12151, 2523,
};
static const tbn_integer_layer tbn_7_tokens = {
    .rows = 8,
    .row_length = 4,
    .distinct_rows = 4,
    .tile_length = 16,
    .sums = 4,
    .groups = 1,
    .multiplier_count = 2,
    .bias_count = 8,
    .tile = tbn_7_tokens_tile,
    .weights = NULL,
    .multipliers = tbn_7_tokens_multipliers,
    .biases = tbn_7_tokens_biases,
    .zero = 31,
    .sum_shift = 0,
    .bias_shift = 10,
    .shift = 17,
    .low = 16,
    .high = 196,
};

/* vectors: Norm */
static const int16_t tbn_8_vectors_multipliers[8] TBN_FLASH = {
    2345, -9629, -8045, -7711, 29949, 8157, 10710, -10447,
};
static const int16_t tbn_8_vectors_biases[8] TBN_FLASH = {
    6697, 5876, 15074, 5382, 16555, 14807, 14326, 5834,
};
static const tbn_integer_norm tbn_8_vectors = {
    .count = 8,
    .epsilon = 77u,
    .multipliers = tbn_8_vectors_multipliers,
    .biases = tbn_8_vectors_biases,
    .bias_shift = 13,
    .shift = 19,
    .low = 0,
    .high = 255,
};

/* matrix: Product */
static const tbn_integer_product tbn_9_matrix = {
    .rows = 4,
    .inner = 9,
    .columns = 32,
    .multiplier = 18308,
    .bias = 92020736,
    .zero = 20,
    .other_zero = 130,
    .sum_shift = 4,
    .shift = 19,
    .low = 0,
    .high = 255,
};

/* most: convolution, 16 x 4, a tile of 16 signs, p = 4: 4 rows computed, in blocks of inputs */
static const uint8_t tbn_10_most_tile[2] TBN_FLASH = {
    0x59, 0xd2,
};
static const int16_t tbn_10_most_multipliers[4] TBN_FLASH = {
    15776, 28809, 31066, 17784,
};
static const int16_t tbn_10_most_biases[16] TBN_FLASH = {
    13652, 12902, 9840, 14126, 11388, 11570, 10736, 10841, 17983, 13481, 11556, 15415, 15569, 16060, 19107, 10338,
};
static const tbn_integer_layer tbn_10_most = {
    .rows = 16,
    .row_length = 4,
    .distinct_rows = 4,
    .tile_length = 16,
    .sums = 4,
    .groups = 1,
    .multiplier_count = 4,
    .bias_count = 16,
    .tile = tbn_10_most_tile,
    .weights = NULL,
    .multipliers = tbn_10_most_multipliers,
    .biases = tbn_10_most_biases,
    .zero = 99,
    .sum_shift = 0,
    .bias_shift = 10,
    .shift = 16,
    .low = 48,
    .high = 189,
};

/* mean: AveragePool */
static const tbn_integer_average tbn_11_mean = {
    .multiplier = 300000,
    .bias = 524288,
    .zero = 9,
    .shift = 20,
    .low = 0,
    .high = 255,
};
static const tbn_window tbn_11_mean_window = {
    .kernel_height = 2,
    .kernel_width = 2,
    .stride_y = 2,
    .stride_x = 2,
    .top = 0,
    .left = 0,
    .dilation_y = 1,
    .dilation_x = 1,
};

/* dense: fully connected, 16 x 4 int8 weights */
static const int8_t tbn_12_dense_weights[64] TBN_FLASH = {
    79, -106, -82, -67, -81, 77, 94, 21, -117, -103, -43, -17, 31, -5, -60, -87, 49, 60, -119, -99,
    -12, -28, 99, 4, -20, -18, 42, 22, -83, 61, 65, 116, 73, -55, -46, 38, 38, 50, 94, -53,
    112, -127, -108, 121, 113, -51, -92, -47, -117, 100, 41, 22, -65, -7, -79, 70, -7, -120, -63, 53,
    5, -32, -63, -104,
};
static const int16_t tbn_12_dense_multipliers[1] TBN_FLASH = {
    26613,
};
static const int16_t tbn_12_dense_biases[16] TBN_FLASH = {
    19723, 11379, 16251, 12427, 17537, 17312, 11512, 18553, 16568, 16858, 18440, 13929, 17733, 19112, 10171, 18782,
};
static const tbn_integer_layer tbn_12_dense = {
    .rows = 16,
    .row_length = 4,
    .distinct_rows = 16,
    .tile_length = 64,
    .sums = 16,
    .groups = 1,
    .multiplier_count = 1,
    .bias_count = 16,
    .tile = NULL,
    .weights = tbn_12_dense_weights,
    .multipliers = tbn_12_dense_multipliers,
    .biases = tbn_12_dense_biases,
    .zero = 9,
    .sum_shift = 2,
    .bias_shift = 15,
    .shift = 21,
    .low = 39,
    .high = 191,
};

/* sum: Add */
static const tbn_integer_sum tbn_13_sum = {
    .multiplier = 400000,
    .other_multiplier = 600000,
    .bias = 524288,
    .shift = 20,
    .low = 0,
    .high = 255,
};

/* fc: fully connected, 32 x 16, a tile of 128 signs, p = 4: 8 rows computed, in blocks of inputs */
static const uint8_t tbn_14_fc_tile[16] TBN_FLASH = {
    0x9c, 0xdd, 0xdf, 0x6a, 0xb1, 0x10, 0x9c, 0x7c, 0x8b, 0xa0, 0xe4, 0x35, 0x0e, 0xc7, 0xcf, 0x49,
};
static const int16_t tbn_14_fc_multipliers[4] TBN_FLASH = {
    27340, 26445, 9593, 19264,
};
static const int16_t tbn_14_fc_biases[1] TBN_FLASH = {
    26752,
};
static const tbn_integer_layer tbn_14_fc = {
    .rows = 32,
    .row_length = 16,
    .distinct_rows = 8,
    .tile_length = 128,
    .sums = 8,
    .groups = 1,
    .multiplier_count = 4,
    .bias_count = 1,
    .tile = tbn_14_fc_tile,
    .weights = NULL,
    .multipliers = tbn_14_fc_multipliers,
    .biases = tbn_14_fc_biases,
    .zero = 0,
    .sum_shift = 0,
    .bias_shift = 10,
    .shift = 18,
    .low = 18,
    .high = 224,
};

/* head: fully connected, 3 x 32, a tile of 96 signs, p = 1: 3 rows computed, in blocks of inputs */
static const uint8_t tbn_15_head_tile[12] TBN_FLASH = {
    0xbf, 0xc7, 0xc3, 0x08, 0x4d, 0x11, 0x69, 0x55, 0x13, 0xd3, 0xa4, 0x2a,
};
static const int16_t tbn_15_head_multipliers[1] TBN_FLASH = {
    32767,
};
static const int16_t tbn_15_head_biases[3] TBN_FLASH = {
    19065, 15989, 13840,
};
static const tbn_integer_layer tbn_15_head = {
    .rows = 3,
    .row_length = 32,
    .distinct_rows = 3,
    .tile_length = 96,
    .sums = 3,
    .groups = 1,
    .multiplier_count = 1,
    .bias_count = 3,
    .tile = tbn_15_head_tile,
    .weights = NULL,
    .multipliers = tbn_15_head_multipliers,
    .biases = tbn_15_head_biases,
    .zero = 0,
    .sum_shift = 0,
    .bias_shift = 12,
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
        .sum_count = 16,
        .patch = arena->patch,
        .patch_count = 164,
    };
    tbn_status status = tbn_integer_conv2d(&tbn_0_conv, &tbn_0_conv_window, input, &tbn_image_0, arena->codes, &tbn_image_1, &scratch);
    if (status == TBN_OK) {
        status = tbn_integer_table(tbn_1_gelu_table, arena->codes, arena->codes + 144, 144);
    }
    if (status == TBN_OK) {
        status = tbn_integer_conv2d(&tbn_2_depthwise, &tbn_2_depthwise_window, arena->codes + 144, &tbn_image_2, arena->codes + 288, &tbn_image_3, &scratch);
    }
    if (status == TBN_OK) {
        status = tbn_integer_affine(&tbn_3_norm, arena->codes + 288, arena->codes + 144, 36);
    }
    if (status == TBN_OK) {
        status = tbn_integer_add(&tbn_4_add, arena->codes, arena->codes + 144, arena->codes, 144);
    }
    if (status == TBN_OK) {
        status = tbn_integer_max_pool(&tbn_5_pool_window, arena->codes, &tbn_image_5, arena->codes + 432, &tbn_image_6);
    }
    if (status == TBN_OK) {
        status = tbn_integer_swap(&tbn_6_turn, arena->codes, arena->codes + 288);
    }
    if (status == TBN_OK) {
        status = tbn_integer_rows(&tbn_7_tokens, arena->codes + 288, 36, arena->codes, &scratch);
    }
    if (status == TBN_OK) {
        status = tbn_integer_layer_norm(&tbn_8_vectors, arena->codes, 36, arena->codes);
    }
    if (status == TBN_OK) {
        status = tbn_integer_matrix_product(&tbn_9_matrix, arena->codes + 432, arena->codes, arena->codes + 288);
    }
    if (status == TBN_OK) {
        status = tbn_integer_largest(&tbn_10_most, arena->codes + 288, &tbn_image_10, arena->codes, 16, &scratch);
    }
    if (status == TBN_OK) {
        status = tbn_integer_average_pool(&tbn_11_mean, &tbn_11_mean_window, arena->codes + 432, &tbn_image_6, arena->codes + 16, &tbn_image_12);
    }
    if (status == TBN_OK) {
        status = tbn_integer_fully_connected(&tbn_12_dense, arena->codes + 16, 4, arena->codes + 16, 16, &scratch);
    }
    if (status == TBN_OK) {
        status = tbn_integer_add(&tbn_13_sum, arena->codes, arena->codes + 16, arena->codes, 16);
    }
    if (status == TBN_OK) {
        status = tbn_integer_fully_connected(&tbn_14_fc, arena->codes, 16, arena->codes, 32, &scratch);
    }
    if (status == TBN_OK) {
        status = tbn_integer_outputs(&tbn_15_head, arena->codes, 32, outputs, 3, &scratch);
    }
    return status;
}

tbn_status tbn_model_shares(const int32_t *outputs, uint32_t output_count, uint16_t *shares)
{
    const tbn_integer_rate rate = {
        .factor = 47274u,
        .beyond = 12u,
        .before = 0,
        .behind = 7,
    };
    return tbn_integer_softmax(&rate, outputs, output_count, shares);
}
