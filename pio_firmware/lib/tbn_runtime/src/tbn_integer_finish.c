/* From sums to outputs. Row r of copy k has the sum of row r and multipliers of its own tile. */
#include "tbn_integer_layer.h"

/* Whole rows whose multipliers lie at regular distances: `of_copy` from copy to copy, `of_row` from row to row. */
static void tbn_finish_rows(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, int32_t *values, uint32_t stride,
                            uint32_t of_copy, uint32_t of_row)
{
    const int16_t *bias = layer->biases;
    const uint32_t of_bias = layer->bias_count == 1 ? 0 : 1;
    const uint32_t rows = layer->distinct_rows;
    const uint8_t sum_shift = layer->sum_shift, bias_shift = layer->bias_shift, shift = layer->shift, low = layer->low, high = layer->high;
    const int16_t *of_tile = layer->multipliers;
    uint32_t target = 0;
    for (uint32_t copy = layer->rows / rows; copy != 0; copy--, of_tile += of_copy) {
        const int16_t *multiplier = of_tile;
        for (uint32_t row = 0; row < rows; row++, multiplier += of_row, bias += of_bias, target += stride) {
            const int32_t value = tbn_bias(bias, 0, bias_shift) + (sums[row] >> sum_shift) * (int32_t)TBN_READ_I16(multiplier);
            if (values != NULL) {
                values[target] = value;
            } else {
                codes[target] = tbn_clip(value >> shift, low, high);
            }
        }
    }
}

/* Rows in pieces, or tiles of several rows: counted piece by piece over all copies, whose borders are tile borders. */
static void tbn_finish_pieces(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, int32_t *values, uint32_t stride)
{
    const uint32_t copies = layer->rows / layer->distinct_rows;
    const uint32_t of_sums = copies * layer->sums;
    const int cut = layer->sums != layer->distinct_rows;
    uint32_t tile = 0;
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

void tbn_integer_finish(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, int32_t *values, uint32_t stride)
{
    const uint32_t copies = layer->rows / layer->distinct_rows;
    if (layer->sums != layer->distinct_rows) {
        tbn_finish_pieces(layer, sums, codes, values, stride);
    } else if (layer->multiplier_count == 1) {
        tbn_finish_rows(layer, sums, codes, values, stride, 0, 0);
    } else if (layer->multiplier_count == layer->rows) {
        tbn_finish_rows(layer, sums, codes, values, stride, layer->distinct_rows, 1);
    } else if (layer->multiplier_count == copies) {
        tbn_finish_rows(layer, sums, codes, values, stride, 1, 0);
    } else {
        tbn_finish_pieces(layer, sums, codes, values, stride);
    }
}
