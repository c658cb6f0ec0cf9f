/* Integer networks: uint8 codes between the operations, int32 sums inside them, no number wider than 32 bits and no float.
 *
 * A code q stands for scale * (q - zero). Sums are of q - zero, and padding counts as 0. A sum becomes a code of the next tensor by
 *
 *     clip(((sum >> sum_shift) * multiplier + (bias << bias_shift)) >> shift, low, high)
 *
 * with `>>` rounding down. Whoever makes the numbers has to make sure that no step leaves int32, whatever the codes (the generator does).
 * Images are channels x height x width. Tiles are as tbn_runtime.h says; every distinct row is multiplied once.
 */
#ifndef TBN_INTEGER_H
#define TBN_INTEGER_H

#include "tbn_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

TBN_STATIC_ASSERT((-3 >> 1) == -2, "right shifts of negative numbers have to round down");

/* Working memory of the fast ways to a sum: sums of inputs, or inputs in another order. Half of it where there are 2 KB of RAM in all. */
#if defined(RAMEND) && RAMEND < 4096
enum { TBN_INTEGER_BLOCK_BYTES = 256 };
#else
enum { TBN_INTEGER_BLOCK_BYTES = 512 };
#endif
typedef union {
    uint32_t words[TBN_INTEGER_BLOCK_BYTES / 4];
    uint16_t sums[TBN_INTEGER_BLOCK_BYTES / 2];
} tbn_integer_block;

/* A convolution whose tile is whole rows takes four positions at a time, which is faster, where there is a block and sums for each distinct
 * row: TBN_INTEGER_FOUR, or TBN_INTEGER_FOUR_LONG of them where a row has more than 256 inputs. */
enum { TBN_INTEGER_FOUR = 4, TBN_INTEGER_FOUR_LONG = 6 };

/* What a layer multiplies with, and how its sums become codes. What a pointer names lies in flash (see tbn_flash.h).
 *
 * The R distinct rows have one sum each; where they are cut at tile borders (the tiles' factors differ), one for each piece. `multipliers`
 * are 1, one a tile (rows * row_length / tile_length), or one for each sum of each copy; `biases` 1 or one an output. */
typedef struct {
    uint32_t rows;             /* m, outputs or output channels */
    uint32_t row_length;       /* n, inputs of one output */
    uint32_t distinct_rows;    /* R */
    uint32_t tile_length;      /* q; of int8 weights all */
    uint32_t sums;             /* R, or the pieces */
    uint32_t groups;           /* of a convolution's channels; 1 otherwise */
    uint32_t multiplier_count;
    uint32_t bias_count;
    const uint8_t *tile;       /* (q + 7) / 8 bytes; NULL: int8 weights */
    const int8_t *weights;     /* rows x row_length, or NULL */
    const int16_t *multipliers;
    const int16_t *biases;
    uint8_t zero;              /* of the input */
    uint8_t sum_shift;
    uint8_t bias_shift;
    uint8_t shift;
    uint8_t low;
    uint8_t high;
} tbn_integer_layer;

/* Memory of the caller for the time of one call. */
typedef struct {
    tbn_integer_block *block; /* NULL: slow */
    int32_t *sums;
    uint32_t sum_count;       /* at least the layer's sums; see TBN_INTEGER_FOUR */
    uint8_t *patch;           /* of a convolution that goes position by position; NULL otherwise */
    uint32_t patch_count;     /* at least row_length * groups */
} tbn_integer_scratch;

typedef struct {
    uint32_t channels;
    uint32_t height;
    uint32_t width;
} tbn_image;

/* `top` rows and `left` columns of padding come before the image; what comes after it follows from the size of the output. */
typedef struct {
    uint32_t kernel_height, kernel_width;
    uint32_t stride_y, stride_x;
    uint32_t top, left;
    uint32_t dilation_y, dilation_x;
} tbn_window;

/* clip((sum of code - zero under the window * multiplier + bias) >> shift) */
typedef struct {
    int32_t multiplier;
    int32_t bias;
    uint8_t zero, shift, low, high;
} tbn_integer_average;

/* clip((a * multiplier + b * other_multiplier + bias) >> shift) */
typedef struct {
    int32_t multiplier;
    int32_t other_multiplier;
    int32_t bias;
    uint8_t shift, low, high;
} tbn_integer_sum;

/* clip(((code - zero) * multipliers[channel] + (biases[channel] << bias_shift)) >> shift) */
typedef struct {
    uint32_t channels;
    const int16_t *multipliers;
    const int16_t *biases;
    uint8_t zero, bias_shift, shift, low, high;
} tbn_integer_channels;

/* The output may lie where the input lies. */
tbn_status tbn_integer_fully_connected(const tbn_integer_layer *layer, const uint8_t *input, uint32_t input_count, uint8_t *output,
                                       uint32_t output_count, const tbn_integer_scratch *scratch);

/* The network's last layer: its sums times multipliers plus biases, as int32, neither shifted nor clipped. */
tbn_status tbn_integer_outputs(const tbn_integer_layer *layer, const uint8_t *input, uint32_t input_count, int32_t *output,
                               uint32_t output_count, const tbn_integer_scratch *scratch);

/* Convolution, also grouped and depthwise. In place only with a 1 x 1 window of stride 1. */
tbn_status tbn_integer_conv2d(const tbn_integer_layer *layer, const tbn_window *window, const uint8_t *input, const tbn_image *input_shape,
                              uint8_t *output, const tbn_image *output_shape, const tbn_integer_scratch *scratch);

/* The largest code under each window; padding never wins. In place without padding. */
tbn_status tbn_integer_max_pool(const tbn_window *window, const uint8_t *input, const tbn_image *input_shape, uint8_t *output,
                                const tbn_image *output_shape);

/* Means; windows lie inside the image. May be in place. */
tbn_status tbn_integer_average_pool(const tbn_integer_average *average, const tbn_window *window, const uint8_t *input,
                                    const tbn_image *input_shape, uint8_t *output, const tbn_image *output_shape);

/* Sum of two tensors, element by element. The output may be one of the inputs. */
tbn_status tbn_integer_add(const tbn_integer_sum *sum, const uint8_t *input, const uint8_t *other, uint8_t *output, uint32_t count);

/* A factor and a shift for each channel of `inner` numbers. May be in place. */
tbn_status tbn_integer_affine(const tbn_integer_channels *channels, const uint8_t *input, uint8_t *output, uint32_t inner);

/* output[i] = table[input[i]], 256 bytes in flash: any function of one number. May be in place. */
tbn_status tbn_integer_table(const uint8_t *table, const uint8_t *input, uint8_t *output, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
