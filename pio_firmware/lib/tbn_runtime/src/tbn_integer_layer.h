/* What the integer operations share: checks, the sums of a layer's distinct rows, and the way from sums to codes. */
#ifndef TBN_INTEGER_LAYER_H
#define TBN_INTEGER_LAYER_H

#include "tbn_integer.h"

#if defined(__AVR__)
#define TBN_READ_I8(address) ((int8_t)pgm_read_byte(address))
#define TBN_READ_I16(address) ((int16_t)pgm_read_word(address))
#else
#define TBN_READ_I8(address) (*(address))
#define TBN_READ_I16(address) (*(address))
#endif

static inline uint8_t tbn_clip(int32_t value, uint8_t low, uint8_t high)
{
    if (value < (int32_t)low) {
        return low;
    }
    return value > (int32_t)high ? high : (uint8_t)value;
}

static inline int32_t tbn_bias(const int16_t *biases, uint32_t index, uint8_t shift)
{
    return (int32_t)TBN_READ_I16(&biases[index]) * ((int32_t)1 << shift);
}

tbn_status tbn_integer_check(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch);

/* scratch->sums[i] = sum of sign * (input - zero) over piece i of the distinct rows. `input` holds row_length * groups codes. */
void tbn_integer_sums(const tbn_integer_layer *layer, const uint8_t *input, const tbn_integer_scratch *scratch);

/* The sums of one position as outputs, `stride` elements from one output to the next; into `codes`, or into `values` where that is no NULL. */
static inline void tbn_integer_finish(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, int32_t *values, uint32_t stride)
{
    const uint32_t copies = layer->rows / layer->distinct_rows;
    const uint32_t of_sums = copies * layer->sums;
    const int cut = layer->sums != layer->distinct_rows;
    uint32_t tile = 0; /* counted over all copies: their borders are tile borders */
    uint32_t used = 0; /* signs of this tile */
    uint32_t number = 0;
    uint32_t target = 0;
    for (uint32_t copy = 0, output = 0; copy < copies; copy++) {
        const int32_t *sum = sums;
        for (uint32_t row = 0; row < layer->distinct_rows; row++, output++, target += stride) {
            int32_t value = tbn_bias(layer->biases, layer->bias_count == 1 ? 0 : output, layer->bias_shift);
            uint32_t left = layer->row_length;
            while (left != 0) {
                const uint32_t in_tile = layer->tile_length - used;
                const uint32_t taken = cut && in_tile < left ? in_tile : left;
                const uint32_t index = layer->multiplier_count == of_sums ? number : layer->multiplier_count == 1 ? 0 : tile;
                value += (*sum >> layer->sum_shift) * (int32_t)TBN_READ_I16(&layer->multipliers[index]);
                sum++;
                number++;
                left -= taken;
                used += taken;
                while (used >= layer->tile_length) {
                    used -= layer->tile_length;
                    tile++;
                }
            }
            if (values != NULL) {
                values[target] = value;
            } else {
                codes[target] = tbn_clip(value >> layer->shift, layer->low, layer->high);
            }
        }
    }
}

#endif
