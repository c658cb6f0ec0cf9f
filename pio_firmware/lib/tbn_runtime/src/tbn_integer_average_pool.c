#include "tbn_integer_window.h"

tbn_status tbn_integer_average_pool(const tbn_integer_average *average, const tbn_window *window, const uint8_t *input,
                                    const tbn_image *input_shape, uint8_t *output, const tbn_image *output_shape)
{
    const tbn_status status = tbn_check_window(window, input, input_shape, output, output_shape);
    if (status != TBN_OK) {
        return status;
    }
    if (average == NULL) {
        return TBN_ERROR_NULL;
    }
    if (output_shape->channels != input_shape->channels || !tbn_windows_inside(window, input_shape, output_shape) || average->shift > 30) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t channel = 0; channel < input_shape->channels; channel++, input += input_shape->height * input_shape->width) {
        for (uint32_t row = 0; row < output_shape->height; row++) {
            for (uint32_t column = 0; column < output_shape->width; column++) {
                int32_t sum = 0;
                for (uint32_t i = 0; i < window->kernel_height; i++) {
                    const uint8_t *line = &input[(row * window->stride_y + i * window->dilation_y) * input_shape->width];
                    for (uint32_t j = 0; j < window->kernel_width; j++) {
                        sum += (int32_t)line[column * window->stride_x + j * window->dilation_x] - average->zero;
                    }
                }
                *output++ = tbn_clip((sum * average->multiplier + average->bias) >> average->shift, average->low, average->high);
            }
        }
    }
    return TBN_OK;
}
