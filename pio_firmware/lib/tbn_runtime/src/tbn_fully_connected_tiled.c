/* The fast case: the tile is whole rows, each starting on a byte border.
 *
 * Four inputs have 16 signed sums. They are computed once and then serve all distinct rows: a row adds table[its 4 signs] instead of
 * doing 4 additions. The table covers TBN_TABLE_INPUTS inputs at a time, so it stays small; the sums so far wait in output[0 .. R). */
#include "tbn_layer.h"

enum { TBN_SUMS = 16 };

/* sums[s] = (s & 1 ? x0 : -x0) + (s & 2 ? x1 : -x1) + (s & 4 ? x2 : -x2) + (s & 8 ? x3 : -x3) */
static inline void tbn_sums_of_4(const float *x, float *sums)
{
    const float low0 = -x[0] - x[1], low1 = x[0] - x[1], low2 = x[1] - x[0], low3 = x[0] + x[1];
    const float high[4] = {-x[2] - x[3], x[2] - x[3], x[3] - x[2], x[2] + x[3]};
    for (uint32_t h = 0; h < 4; h++, sums += 4) {
        sums[0] = high[h] + low0;
        sums[1] = high[h] + low1;
        sums[2] = high[h] + low2;
        sums[3] = high[h] + low3;
    }
}

static inline float tbn_add_8(float sum, uint32_t signs, const float *table)
{
    sum += table[signs & 15u];
    return sum + table[TBN_SUMS + (signs >> 4)];
}

/* The table's answer for the inputs of a row that it covers: all, the usual case, without a loop; or 8 * `bytes`. */
static inline float tbn_row_sum(const uint8_t *signs, const float *table, uint32_t bytes)
{
    float sum = 0.0f;
    if (bytes == TBN_TABLE_INPUTS / 8) {
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[0]), table);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[1]), &table[2 * TBN_SUMS]);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[2]), &table[4 * TBN_SUMS]);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[3]), &table[6 * TBN_SUMS]);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[4]), &table[8 * TBN_SUMS]);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[5]), &table[10 * TBN_SUMS]);
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[6]), &table[12 * TBN_SUMS]);
        return tbn_add_8(sum, TBN_READ_U8(&signs[7]), &table[14 * TBN_SUMS]);
    }
    for (uint32_t j = 0; j < bytes; j++, table += 2 * TBN_SUMS) {
        sum = tbn_add_8(sum, TBN_READ_U8(&signs[j]), table);
    }
    return sum;
}

tbn_status tbn_fully_connected_tiled(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                     uint32_t output_count, float *table, uint32_t table_count)
{
    const tbn_status status = tbn_check_tiled(layer, input, input_count, output, output_count);
    if (status != TBN_OK) {
        return status;
    }
    if (table == NULL) {
        return TBN_ERROR_NULL;
    }
    if (table_count < TBN_TABLE_FLOATS) {
        return TBN_ERROR_BUFFER;
    }
    if (layer->copies != layer->tiles || layer->row_length % 8 != 0) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t distinct_rows = layer->rows / layer->copies;
    const uint32_t row_bytes = layer->row_length / 8;

    for (uint32_t start = 0; start < layer->row_length; start += TBN_TABLE_INPUTS) {
        const uint32_t left = layer->row_length - start;
        const uint32_t inputs = left < TBN_TABLE_INPUTS ? left : (uint32_t)TBN_TABLE_INPUTS;
        for (uint32_t i = 0; i < inputs; i += 4) {
            tbn_sums_of_4(&input[start + i], &table[i * 4]);
        }
        const uint8_t *signs = &layer->tile[start / 8];
        for (uint32_t row = 0; row < distinct_rows; row++, signs += row_bytes) {
            const float sum = tbn_row_sum(signs, table, inputs / 8);
            output[row] = start == 0 ? sum : output[row] + sum;
        }
    }
    /* Copy 0 last: its rows still hold the sums. */
    for (uint32_t copy = layer->copies; copy-- > 0;) {
        const float alpha = tbn_alpha(layer, copy);
        for (uint32_t row = 0; row < distinct_rows; row++) {
            const uint32_t target = copy * distinct_rows + row;
            output[target] = tbn_finish(alpha * output[row], layer->bias, target, layer->activation);
        }
    }
    return TBN_OK;
}
