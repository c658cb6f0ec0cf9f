#include "tbn_integer_window.h"

tbn_status tbn_integer_max_pool(const tbn_window *window, const uint8_t *input, const tbn_image *input_shape, uint8_t *output,
                                const tbn_image *output_shape)
{
    const tbn_status status = tbn_check_window(window, input, input_shape, output, output_shape);
    if (status != TBN_OK) {
        return status;
    }
    if (output_shape->channels != input_shape->channels) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t channel = 0; channel < input_shape->channels; channel++, input += input_shape->height * input_shape->width) {
        for (uint32_t row = 0; row < output_shape->height; row++) {
            for (uint32_t column = 0; column < output_shape->width; column++) {
                uint8_t best = 0;
                for (uint32_t i = 0; i < window->kernel_height; i++) {
                    const uint32_t y = row * window->stride_y + i * window->dilation_y - window->top; /* wraps around above the image */
                    for (uint32_t j = 0; j < window->kernel_width; j++) {
                        const uint32_t x = column * window->stride_x + j * window->dilation_x - window->left;
                        if (y < input_shape->height && x < input_shape->width && input[y * input_shape->width + x] > best) {
                            best = input[y * input_shape->width + x];
                        }
                    }
                }
                *output++ = best;
            }
        }
    }
    return TBN_OK;
}
