/* Convolutions: four neighbouring positions at once where that is possible (tbn_integer_four.c), else one after the other: what lies under
 * the window is copied into the patch, channel by channel, and the rows are multiplied with it as in a fully connected layer. */
#include "tbn_integer_window.h"

tbn_status tbn_integer_conv2d(const tbn_integer_layer *layer, const tbn_window *window, const uint8_t *input, const tbn_image *input_shape,
                              uint8_t *output, const tbn_image *output_shape, const tbn_integer_scratch *scratch)
{
    tbn_status status = tbn_integer_check(layer, scratch);
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
    if (tbn_integer_takes_four(layer, scratch)) {
        tbn_integer_conv2d_by_four(layer, window, input, input_shape, output, output_shape, scratch);
        return TBN_OK;
    }
    if (scratch->patch == NULL) {
        return TBN_ERROR_NULL;
    }
    if (scratch->patch_count < taps) {
        return TBN_ERROR_BUFFER;
    }
    const uint32_t positions = output_shape->height * output_shape->width;
    for (uint32_t row = 0; row < output_shape->height; row++) {
        for (uint32_t column = 0; column < output_shape->width; column++, output++) {
            tbn_gather(window, input, input_shape, row, column, layer->zero, scratch->patch);
            tbn_integer_sums(layer, scratch->patch, scratch);
            tbn_integer_finish(layer, scratch->sums, output, NULL, positions);
        }
    }
    return TBN_OK;
}
