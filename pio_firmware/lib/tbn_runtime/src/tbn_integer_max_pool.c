/* The part of a window that lies inside the image is found once for a line and once for a column. Windows of two by two pixels side by side,
 * the usual ones, are done two at a time where the processor takes four bytes at once. */
#include "tbn_integer_window.h"

/* First and one past the last of `kernel` steps of `dilation` from `start` on (wrapped around before the image) that lie inside `size`. */
static inline void tbn_clip_window(uint32_t start, uint32_t kernel, uint32_t dilation, uint32_t size, uint32_t *first, uint32_t *end)
{
    uint32_t i = 0;
    while (i < kernel && start + i * dilation >= size) {
        i++;
    }
    *first = i;
    while (i < kernel && start + i * dilation < size) {
        i++;
    }
    *end = i;
}

#if TBN_FOUR_BYTES
static inline uint32_t tbn_larger(uint32_t a, uint32_t b)
{
    uint32_t more;
    __asm__("uqsub8 %0, %1, %2" : "=r"(more) : "r"(a), "r"(b));
    return b + more;
}
#endif

/* One line of windows of two by two pixels. */
static void tbn_pool_pairs(const uint8_t *line, uint32_t width, uint32_t count, uint8_t *output)
{
    const uint8_t *below = line + width;
#if TBN_FOUR_BYTES
    for (; count >= 2; count -= 2, line += 4, below += 4, output += 2) {
        uint32_t best = tbn_larger(((const tbn_loose_word *)line)->value, ((const tbn_loose_word *)below)->value);
        best = tbn_larger(best, best >> 8);
        output[0] = (uint8_t)best;
        output[1] = (uint8_t)(best >> 16);
    }
#endif
    for (; count != 0; count--, line += 2, below += 2) {
        uint8_t best = line[0];
        best = line[1] > best ? line[1] : best;
        best = below[0] > best ? below[0] : best;
        *output++ = below[1] > best ? below[1] : best;
    }
}

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
    const uint32_t width = input_shape->width;
    const int pairs = window->kernel_height == 2 && window->kernel_width == 2 && window->stride_x == 2 && window->dilation_y == 1 &&
                      window->dilation_x == 1 && tbn_windows_inside(window, input_shape, output_shape);
    for (uint32_t channel = 0; channel < input_shape->channels; channel++, input += input_shape->height * width) {
        for (uint32_t row = 0; row < output_shape->height; row++) {
            if (pairs) {
                tbn_pool_pairs(&input[row * window->stride_y * width], width, output_shape->width, output);
                output += output_shape->width;
                continue;
            }
            const uint32_t top = row * window->stride_y - window->top; /* wraps around above the image */
            uint32_t i0, i1;
            tbn_clip_window(top, window->kernel_height, window->dilation_y, input_shape->height, &i0, &i1);
            for (uint32_t column = 0; column < output_shape->width; column++) {
                const uint32_t left = column * window->stride_x - window->left;
                uint32_t j0, j1;
                tbn_clip_window(left, window->kernel_width, window->dilation_x, width, &j0, &j1);
                uint8_t best = 0;
                for (uint32_t i = i0; i < i1; i++) {
                    const uint8_t *at = &input[(top + i * window->dilation_y) * width + left + j0 * window->dilation_x];
                    for (uint32_t j = j0; j < j1; j++, at += window->dilation_x) {
                        best = *at > best ? *at : best;
                    }
                }
                *output++ = best;
            }
        }
    }
    return TBN_OK;
}
