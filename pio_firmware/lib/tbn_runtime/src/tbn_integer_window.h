/* What the operations with windows share. */
#ifndef TBN_INTEGER_WINDOW_H
#define TBN_INTEGER_WINDOW_H

#include "tbn_integer_layer.h"

static inline tbn_status tbn_check_window(const tbn_window *window, const uint8_t *input, const tbn_image *input_shape, const uint8_t *output,
                                          const tbn_image *output_shape)
{
    if (window == NULL || input == NULL || input_shape == NULL || output == NULL || output_shape == NULL) {
        return TBN_ERROR_NULL;
    }
    const int empty = input_shape->channels == 0 || input_shape->height == 0 || input_shape->width == 0 || output_shape->channels == 0 ||
                      output_shape->height == 0 || output_shape->width == 0 || window->kernel_height == 0 || window->kernel_width == 0;
    return empty ? TBN_ERROR_SHAPE : TBN_OK;
}

/* Copies what lies under the window at one position into the patch, channel by channel. */
static inline void tbn_gather(const tbn_window *window, const uint8_t *input, const tbn_image *shape, uint32_t row, uint32_t column,
                              uint8_t zero, uint8_t *patch)
{
    for (uint32_t channel = 0; channel < shape->channels; channel++, input += shape->height * shape->width) {
        for (uint32_t i = 0; i < window->kernel_height; i++) {
            const uint32_t y = row * window->stride_y + i * window->dilation_y - window->top; /* wraps around above the image */
            for (uint32_t j = 0; j < window->kernel_width; j++) {
                const uint32_t x = column * window->stride_x + j * window->dilation_x - window->left;
                *patch++ = y < shape->height && x < shape->width ? input[y * shape->width + x] : zero;
            }
        }
    }
}

/* Whether a convolution may go four positions at a time: a tile of whole rows, and memory for the sums. */
int tbn_integer_takes_four(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch);

void tbn_integer_conv2d_by_four(const tbn_integer_layer *layer, const tbn_window *window, const uint8_t *input, const tbn_image *input_shape,
                                uint8_t *output, const tbn_image *output_shape, const tbn_integer_scratch *scratch);

/* Whether all windows lie inside the image. */
static inline int tbn_windows_inside(const tbn_window *window, const tbn_image *input_shape, const tbn_image *output_shape)
{
    return window->top == 0 && window->left == 0 &&
           (output_shape->height - 1) * window->stride_y + (window->kernel_height - 1) * window->dilation_y < input_shape->height &&
           (output_shape->width - 1) * window->stride_x + (window->kernel_width - 1) * window->dilation_x < input_shape->width;
}

#endif
