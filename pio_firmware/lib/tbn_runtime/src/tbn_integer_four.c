/* Convolutions of whole rows of signs, four neighbouring positions of a line at once. Nothing is copied out of the image but the codes of 16
 * inputs at a time (tbn_integer_gather.c), and all rows take what they need of them (tbn_integer_four_sums.c). */
#include "tbn_integer_four.h"

#if TBN_FOUR_BYTES
static inline uint32_t tbn_byte(int32_t value)
{
    uint32_t found;
    __asm__("usat %0, #8, %1" : "=r"(found) : "r"(value));
    return found;
}

/* max(a - b, 0) of four bytes. */
static inline uint32_t tbn_four_less(uint32_t a, uint32_t b)
{
    uint32_t found;
    __asm__("uqsub8 %0, %1, %2" : "=r"(found) : "r"(a), "r"(b));
    return found;
}
#endif

static inline void tbn_store_four(int32_t v0, int32_t v1, int32_t v2, int32_t v3, uint8_t low, uint8_t high, uint8_t *codes)
{
#if TBN_FOUR_BYTES
    const uint32_t lows = low * 0x01010101u, highs = high * 0x01010101u;
    uint32_t four = tbn_byte(v0) | tbn_byte(v1) << 8 | tbn_byte(v2) << 16 | tbn_byte(v3) << 24;
    four = tbn_four_less(four, lows) + lows;
    ((tbn_loose_word *)codes)->value = four - tbn_four_less(four, highs);
#else
    codes[0] = tbn_clip(v0, low, high);
    codes[1] = tbn_clip(v1, low, high);
    codes[2] = tbn_clip(v2, low, high);
    codes[3] = tbn_clip(v3, low, high);
#endif
}

TBN_ALONE void tbn_integer_finish_four(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, uint32_t stride, uint32_t valid)
{
    const uint8_t sum_shift = layer->sum_shift, bias_shift = layer->bias_shift, shift = layer->shift, low = layer->low, high = layer->high;
    const uint32_t of_bias = layer->bias_count == 1 ? 0 : 1;
    const uint32_t of_row = layer->multiplier_count == layer->rows ? 1 : 0;
    const uint32_t of_copy = of_row != 0 || layer->multiplier_count == 1 ? 0 : 1;
    const int16_t *bias = layer->biases, *multiplier = layer->multipliers;
    const int32_t *const end = sums + 4 * layer->distinct_rows;
    for (uint32_t copy = layer->rows / layer->distinct_rows; copy != 0; copy--, multiplier += of_copy) {
        for (const int32_t *sum = sums; sum != end; bias += of_bias, multiplier += of_row, sum += 4, codes += stride) {
            const int32_t factor = TBN_READ_I16(multiplier), constant = tbn_bias(bias, 0, bias_shift);
            const int32_t v0 = ((sum[0] >> sum_shift) * factor + constant) >> shift, v1 = ((sum[1] >> sum_shift) * factor + constant) >> shift;
            const int32_t v2 = ((sum[2] >> sum_shift) * factor + constant) >> shift, v3 = ((sum[3] >> sum_shift) * factor + constant) >> shift;
            if (valid == 4) {
                tbn_store_four(v0, v1, v2, v3, low, high, codes);
            } else {
                codes[0] = tbn_clip(v0, low, high);
                if (valid > 1) {
                    codes[1] = tbn_clip(v1, low, high);
                }
                if (valid > 2) {
                    codes[2] = tbn_clip(v2, low, high);
                }
            }
        }
    }
}

int tbn_integer_takes_four(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch)
{
    const uint32_t sums = layer->row_length <= TBN_PART ? TBN_INTEGER_FOUR : TBN_INTEGER_FOUR_LONG;
    if (sizeof(tbn_integer_block) < TBN_TAPS / 4 * TBN_TABLE_WORDS * sizeof(uint32_t)) {
        return 0; /* the tables of TBN_TAPS inputs do not fit */
    }
    return layer->tile != NULL && scratch->block != NULL && layer->tile_length == layer->distinct_rows * layer->row_length &&
           scratch->sum_count / sums >= layer->distinct_rows;
}

void tbn_integer_conv2d_by_four(const tbn_integer_layer *layer, const tbn_window *window, const uint8_t *input, const tbn_image *input_shape,
                                uint8_t *output, const tbn_image *output_shape, const tbn_integer_scratch *scratch)
{
    const uint32_t rows = layer->distinct_rows / layer->groups;
    const uint32_t plane = input_shape->height * input_shape->width, positions = output_shape->height * output_shape->width;
    const uint32_t channels = input_shape->channels / layer->groups;
    const uint32_t inside = window->stride_x == 1 && input_shape->width > 3 ? input_shape->width - 3 : 0;
    tbn_walk walk = {window, input, input_shape->height, input_shape->width, inside, layer->zero * 0x01010101u, 0, 0, 0, 0, 0, 0};
    for (uint32_t row = 0; row < output_shape->height; row++) {
        for (uint32_t column = 0; column < output_shape->width; column += 4) {
            const uint32_t left = output_shape->width - column;
            walk.top = row * window->stride_y - window->top;
            walk.left = column * window->stride_x - window->left;
            for (uint32_t group = 0; group < layer->groups; group++) {
                int32_t *sums = &scratch->sums[4 * group * rows];
                walk.plane = input + group * channels * plane;
                walk.y = walk.top;
                walk.x = walk.left;
                walk.i = walk.j = 0;
                uint32_t *packed = (uint32_t *)(layer->row_length <= TBN_PART ? sums : &scratch->sums[4 * layer->distinct_rows]);
                tbn_integer_sums_of_four(layer, &walk, group * rows * layer->row_length, rows, scratch->block, sums, packed);
            }
            tbn_integer_finish_four(layer, scratch->sums, &output[row * output_shape->width + column], positions, left < 4 ? left : 4);
        }
    }
}
