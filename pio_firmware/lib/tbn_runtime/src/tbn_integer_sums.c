/* Sums of the distinct rows, in one of three ways with the same answer:
 * - a table, where the tile is whole rows that start on byte borders: four inputs have 16 signed sums, which are computed once and then
 *   serve all rows; a row adds table[its 4 signs] in place of 4 additions. The table covers TBN_INTEGER_TABLE_INPUTS inputs at a time;
 * - sign by sign, any geometry;
 * - int8 weights. */
#include "tbn_integer_layer.h"

enum { TBN_SUMS = 16 };

tbn_status tbn_integer_check(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch)
{
    if (layer == NULL || scratch == NULL || scratch->sums == NULL || layer->multipliers == NULL || layer->biases == NULL ||
        (layer->tile == NULL) == (layer->weights == NULL)) {
        return TBN_ERROR_NULL;
    }
    if (layer->rows == 0 || layer->row_length == 0 || layer->distinct_rows == 0 || layer->groups == 0 || layer->tile_length == 0 ||
        layer->rows > UINT32_MAX / layer->row_length || layer->rows % layer->distinct_rows != 0 ||
        layer->rows * layer->row_length % layer->tile_length != 0 || layer->distinct_rows % layer->groups != 0 ||
        layer->sums < layer->distinct_rows || (layer->bias_count != 1 && layer->bias_count != layer->rows) || layer->sum_shift > 30 ||
        layer->bias_shift > 30 || layer->shift > 30 || layer->low > layer->high) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t tiles = layer->rows * layer->row_length / layer->tile_length;
    const uint32_t copies = layer->rows / layer->distinct_rows;
    const uint32_t borders = tiles / copies - 1; /* inside a copy; each cuts off one piece at most */
    if (tiles % copies != 0 || layer->sums - layer->distinct_rows > borders || (layer->tile == NULL && (tiles != 1 || copies != 1)) ||
        (layer->multiplier_count != 1 && layer->multiplier_count != tiles && layer->multiplier_count != copies * layer->sums)) {
        return TBN_ERROR_SHAPE;
    }
    return scratch->sum_count < layer->sums ? TBN_ERROR_BUFFER : TBN_OK;
}

/* table[s] = (s & 1 ? x0 : -x0) + (s & 2 ? x1 : -x1) + (s & 4 ? x2 : -x2) + (s & 8 ? x3 : -x3), x = code - zero */
static inline void tbn_sums_of_4(const uint8_t *codes, int32_t zero, int16_t *table)
{
    const int32_t x0 = codes[0] - zero, x1 = codes[1] - zero, x2 = codes[2] - zero, x3 = codes[3] - zero;
    const int32_t low[4] = {-x0 - x1, x0 - x1, x1 - x0, x0 + x1};
    const int32_t high[4] = {-x2 - x3, x2 - x3, x3 - x2, x2 + x3};
    for (uint32_t h = 0; h < 4; h++) {
        for (uint32_t l = 0; l < 4; l++) {
            table[h * 4 + l] = (int16_t)(high[h] + low[l]);
        }
    }
}

/* The table's answer for 8 * `bytes` inputs of one row. */
static inline int32_t tbn_row_sum(const uint8_t *signs, const int16_t *table, uint32_t bytes)
{
    int32_t sum = 0;
    for (uint32_t j = 0; j < bytes; j++, table += 2 * TBN_SUMS) {
        const uint32_t byte = TBN_READ_U8(&signs[j]);
        sum += table[byte & 15u];
        sum += table[TBN_SUMS + (byte >> 4)];
    }
    return sum;
}

static void tbn_sums_by_table(const tbn_integer_layer *layer, const uint8_t *input, int32_t *sums, int16_t *table)
{
    const uint32_t row_bytes = layer->row_length / 8;
    for (uint32_t start = 0; start < layer->row_length; start += TBN_INTEGER_TABLE_INPUTS) {
        const uint32_t left = layer->row_length - start;
        const uint32_t inputs = left < TBN_INTEGER_TABLE_INPUTS ? left : (uint32_t)TBN_INTEGER_TABLE_INPUTS;
        for (uint32_t i = 0; i < inputs; i += 4) {
            tbn_sums_of_4(&input[start + i], layer->zero, &table[i * 4]);
        }
        const uint8_t *signs = &layer->tile[start / 8];
        for (uint32_t row = 0; row < layer->distinct_rows; row++, signs += row_bytes) {
            /* The full table is the usual case; its constant length lets the compiler drop the loop. */
            const int32_t sum = inputs == TBN_INTEGER_TABLE_INPUTS ? tbn_row_sum(signs, table, TBN_INTEGER_TABLE_INPUTS / 8)
                                                                   : tbn_row_sum(signs, table, inputs / 8);
            sums[row] = start == 0 ? sum : sums[row] + sum;
        }
    }
}

/* Sum of sign * (code - zero) over `count` signs of the tile from `position` on. */
static inline int32_t tbn_signed_sum(const uint8_t *tile, uint32_t position, const uint8_t *codes, uint32_t count, int32_t zero)
{
    int32_t sum = 0;
    uint32_t bits = (uint32_t)TBN_READ_U8(&tile[position >> 3]) >> (position & 7u);
    for (uint32_t i = 0; i < count; i++) {
        const int32_t negative = (int32_t)(bits & 1u) - 1; /* 0 or -1 */
        sum += ((codes[i] - zero) ^ negative) - negative;
        position++;
        bits >>= 1;
        if ((position & 7u) == 0 && i + 1 < count) {
            bits = TBN_READ_U8(&tile[position >> 3]);
        }
    }
    return sum;
}

static void tbn_sums_by_sign(const tbn_integer_layer *layer, const uint8_t *input, int32_t *sums)
{
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups;
    const int cut = layer->sums != layer->distinct_rows;
    uint32_t position = 0; /* in the tile */
    uint32_t in_group = 0;
    for (uint32_t row = 0; row < layer->distinct_rows; row++) {
        int32_t sum = 0;
        uint32_t column = 0;
        while (column < layer->row_length) {
            const uint32_t left_in_row = layer->row_length - column;
            const uint32_t left_in_tile = layer->tile_length - position;
            const uint32_t count = left_in_row < left_in_tile ? left_in_row : left_in_tile;
            sum += tbn_signed_sum(layer->tile, position, &input[column], count, layer->zero);
            column += count;
            position = position + count == layer->tile_length ? 0 : position + count;
            if (cut) {
                *sums++ = sum;
                sum = 0;
            }
        }
        if (!cut) {
            *sums++ = sum;
        }
        if (++in_group == rows_of_group) {
            in_group = 0;
            input += layer->row_length;
        }
    }
}

static void tbn_sums_by_weight(const tbn_integer_layer *layer, const uint8_t *input, int32_t *sums)
{
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups;
    const int8_t *weights = layer->weights;
    uint32_t in_group = 0;
    for (uint32_t row = 0; row < layer->distinct_rows; row++) {
        int32_t sum = 0;
        for (uint32_t column = 0; column < layer->row_length; column++) {
            sum += ((int32_t)input[column] - layer->zero) * TBN_READ_I8(weights);
            weights++;
        }
        sums[row] = sum;
        if (++in_group == rows_of_group) {
            in_group = 0;
            input += layer->row_length;
        }
    }
}

void tbn_integer_sums(const tbn_integer_layer *layer, const uint8_t *input, const tbn_integer_scratch *scratch)
{
    if (layer->tile == NULL) {
        tbn_sums_by_weight(layer, input, scratch->sums);
    } else if (scratch->table != NULL && layer->row_length % 8 == 0 && layer->groups == 1 &&
               layer->tile_length == layer->distinct_rows * layer->row_length && layer->distinct_rows >= TBN_INTEGER_TABLE_ROWS) {
        tbn_sums_by_table(layer, input, scratch->sums, scratch->table);
    } else {
        tbn_sums_by_sign(layer, input, scratch->sums);
    }
}
