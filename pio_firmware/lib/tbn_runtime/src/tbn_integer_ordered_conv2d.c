/* Convolutions in other orders: as tbn_integer_conv2d.c and tbn_integer_four.c, run of rows by run of rows and part by part. */
#include "tbn_integer_four.h"
#include "tbn_integer_ordered.h"

static void tbn_ordered_by_four(const tbn_integer_layer *layer, uint32_t roll, const tbn_window *window, const uint8_t *input,
                                const tbn_image *input_shape, uint8_t *output, const tbn_image *output_shape,
                                const tbn_integer_scratch *scratch)
{
    const tbn_integer_layer stored = tbn_stored(layer, roll);
    const uint32_t plane = input_shape->height * input_shape->width, positions = output_shape->height * output_shape->width;
    const uint32_t channels = input_shape->channels / layer->groups, rows_of_group = layer->distinct_rows / layer->groups;
    const uint32_t inside = window->stride_x == 1 && input_shape->width > 3 ? input_shape->width - 3 : 0;
    const uint32_t parts = tbn_integer_parts(layer, roll);
    tbn_walk walk = {window, input, input_shape->height, input_shape->width, inside, layer->zero * 0x01010101u, 0, 0, 0, 0, 0, 0};
    for (uint32_t y = 0; y < output_shape->height; y++) {
        for (uint32_t x = 0; x < output_shape->width; x += 4) {
            const uint32_t left = output_shape->width - x;
            walk.top = y * window->stride_y - window->top;
            walk.left = x * window->stride_x - window->left;
            for (uint32_t row = 0, rows, position; row < layer->distinct_rows; row += rows) {
                rows = tbn_integer_ordered_run(layer, roll, row, &position);
                int32_t *const sums = &scratch->sums[4 * row];
                walk.plane = input + row / rows_of_group * channels * plane;
                walk.y = walk.top;
                walk.x = walk.left;
                walk.i = walk.j = 0;
                uint32_t *packed = (uint32_t *)(layer->row_length <= TBN_PART ? sums : &scratch->sums[4 * layer->distinct_rows]);
                tbn_integer_sums_of_four(&stored, &walk, position, rows, scratch->block, sums, packed);
            }
            uint8_t *const at = &output[y * output_shape->width + x];
            for (uint32_t number = 0; number < parts; number++) {
                tbn_part part;
                tbn_integer_part(layer, roll, parts, number, &part);
                tbn_integer_finish_four(&part.layer, &scratch->sums[4 * part.sums], at + part.output * positions, part.step * positions,
                                        left < 4 ? left : 4);
            }
        }
    }
}

tbn_status tbn_integer_ordered_conv2d(const tbn_integer_layer *layer, uint32_t roll, const tbn_window *window, const uint8_t *input,
                                      const tbn_image *input_shape, uint8_t *output, const tbn_image *output_shape,
                                      const tbn_integer_scratch *scratch)
{
    tbn_status status = tbn_integer_ordered_check(layer, roll, scratch);
    if (status == TBN_OK) {
        status = tbn_check_window(window, input, input_shape, output, output_shape);
    }
    if (status != TBN_OK) {
        return status;
    }
    const uint32_t taps = input_shape->channels * window->kernel_height * window->kernel_width;
    if (taps != layer->row_length * layer->groups || output_shape->channels != layer->rows) {
        return TBN_ERROR_SHAPE;
    }
    tbn_integer_layer whole = *layer;
    if (tbn_whole_rows(layer, roll)) {
        whole.tile_length = layer->distinct_rows * layer->row_length;
    }
    if (tbn_integer_takes_four(&whole, scratch)) {
        tbn_ordered_by_four(layer, roll, window, input, input_shape, output, output_shape, scratch);
        return TBN_OK;
    }
    if (scratch->patch == NULL) {
        return TBN_ERROR_NULL;
    }
    if (scratch->patch_count < taps) {
        return TBN_ERROR_BUFFER;
    }
    const uint32_t positions = output_shape->height * output_shape->width;
    for (uint32_t y = 0; y < output_shape->height; y++) {
        for (uint32_t x = 0; x < output_shape->width; x++, output++) {
            tbn_gather(window, input, input_shape, y, x, layer->zero, scratch->patch);
            tbn_integer_ordered_sums(layer, roll, scratch->patch, scratch);
            tbn_integer_ordered_finish(layer, roll, scratch->sums, output, NULL, positions);
        }
    }
    return TBN_OK;
}
