/* Fully connected layers in other orders. Equal rows side by side have the sums of any layer, and each copy's outputs are written apart. Of
 * rolled tiles, rows that lie one after the other are multiplied together: those before the tile's end, then those behind it. */
#include "tbn_integer_ordered.h"

tbn_status tbn_integer_ordered_check(const tbn_integer_layer *layer, uint32_t roll, const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_integer_check(layer, scratch);
    if (status != TBN_OK) {
        return status;
    }
    return layer->tile == NULL || (roll == 0 ? layer->groups != 1 : layer->distinct_rows != layer->rows) ? TBN_ERROR_SHAPE : TBN_OK;
}

uint32_t tbn_integer_parts(const tbn_integer_layer *layer, uint32_t roll)
{
    if (roll == 0) {
        return layer->rows / layer->distinct_rows;
    }
    return tbn_whole_rows(layer, roll) ? layer->rows * layer->row_length / layer->tile_length : 1;
}

void tbn_integer_part(const tbn_integer_layer *layer, uint32_t roll, uint32_t parts, uint32_t number, tbn_part *part)
{
    const uint32_t rows = layer->rows / parts;
    part->layer = *layer;
    part->layer.rows = part->layer.distinct_rows = rows;
    part->sums = 0;
    part->output = number;
    part->step = parts;
    if (roll != 0) {
        part->layer.sums = layer->sums / parts;
        part->sums = number * part->layer.sums;
        part->output = number * rows;
        part->step = 1;
    }
    if (layer->multiplier_count != 1) {
        part->layer.multiplier_count = layer->multiplier_count / parts;
        part->layer.multipliers += number * part->layer.multiplier_count;
    }
    if (layer->bias_count != 1) {
        part->layer.bias_count = rows;
        part->layer.biases += number * rows;
    }
}

uint32_t tbn_integer_ordered_run(const tbn_integer_layer *layer, uint32_t roll, uint32_t row, uint32_t *position)
{
    if (roll == 0) {
        *position = 0;
        return layer->distinct_rows;
    }
    const uint32_t length = layer->tile_length, rows_of_tile = length / layer->row_length;
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups;
    const uint32_t tile = row / rows_of_tile, in_tile = row % rows_of_tile;
    const uint32_t left_in_tile = rows_of_tile - in_tile, left_in_group = rows_of_group - row % rows_of_group;
    const uint32_t start = (in_tile * layer->row_length + length - tile * roll % length) % length;
    uint32_t count = (length - start + layer->row_length - 1) / layer->row_length; /* that begin before the tile's end */
    count = count < left_in_tile ? count : left_in_tile;
    *position = start;
    return count < left_in_group ? count : left_in_group;
}

/* Rows that may be broken by tiles' borders, where the next rolled tile begins. */
static void tbn_rolled_by_sign(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, int32_t *sums)
{
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups, length = layer->tile_length;
    const int cut = layer->sums != layer->distinct_rows;
    uint32_t start = 0, position = 0, left = length; /* of the rolled tile: where it begins, the next sign, signs to come */
    for (uint32_t row = 0, in_group = 0; row < layer->distinct_rows; row++) {
        int32_t sum = 0;
        for (uint32_t column = 0, count; column < layer->row_length; column += count) {
            count = layer->row_length - column < left ? layer->row_length - column : left;
            sum += tbn_signed_sum(layer->tile, position, &input[column], count, layer->zero);
            position = (position + count) % length;
            left -= count;
            if (left == 0) {
                position = start = (start + length - roll % length) % length;
                left = length;
            }
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

void tbn_integer_ordered_sums(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, const tbn_integer_scratch *scratch)
{
    if (roll == 0) {
        tbn_integer_sums(layer, input, scratch);
        return;
    }
    if (scratch->block == NULL || !tbn_whole_rows(layer, roll)) {
        tbn_rolled_by_sign(layer, roll, input, scratch->sums);
        return;
    }
    const tbn_integer_layer stored = tbn_stored(layer, roll);
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups;
    for (uint32_t row = 0, rows, position; row < layer->distinct_rows; row += rows) {
        rows = tbn_integer_ordered_run(layer, roll, row, &position);
        const uint8_t *const codes = input + row / rows_of_group * layer->row_length;
#if TBN_FOUR_BYTES
        tbn_integer_plane_sums(&stored, position, rows, codes, scratch->block, &scratch->sums[row]);
#else
        tbn_integer_table_sums(&stored, position, rows, codes, scratch->block, &scratch->sums[row]);
#endif
    }
}

void tbn_integer_ordered_finish(const tbn_integer_layer *layer, uint32_t roll, const int32_t *sums, uint8_t *codes, int32_t *values,
                                uint32_t stride)
{
    const uint32_t parts = tbn_integer_parts(layer, roll);
    for (uint32_t number = 0; number < parts; number++) {
        tbn_part part;
        tbn_integer_part(layer, roll, parts, number, &part);
        const uint32_t first = part.output * stride;
        tbn_integer_finish(&part.layer, &sums[part.sums], codes == NULL ? NULL : &codes[first], values == NULL ? NULL : &values[first],
                           part.step * stride);
    }
}

tbn_status tbn_integer_ordered_rows(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, uint32_t positions, uint8_t *output,
                                    const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_integer_ordered_check(layer, roll, scratch);
    if (status != TBN_OK) {
        return status;
    }
    if (input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (layer->groups != 1) {
        return TBN_ERROR_SHAPE;
    }
    for (; positions != 0; positions--, input += layer->row_length, output += layer->rows) {
        tbn_integer_ordered_sums(layer, roll, input, scratch);
        tbn_integer_ordered_finish(layer, roll, scratch->sums, output, NULL, 1);
    }
    return TBN_OK;
}

tbn_status tbn_integer_ordered_outputs(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, int32_t *output,
                                       uint32_t output_count, const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_integer_ordered_check(layer, roll, scratch);
    if (status != TBN_OK) {
        return status;
    }
    if (input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (layer->groups != 1) {
        return TBN_ERROR_SHAPE;
    }
    if (output_count < layer->rows) {
        return TBN_ERROR_BUFFER;
    }
    tbn_integer_ordered_sums(layer, roll, input, scratch);
    tbn_integer_ordered_finish(layer, roll, scratch->sums, NULL, output, 1);
    return TBN_OK;
}
