#include "tbn_plain.h"

void tbn_plain_input(const uint8_t *input, uint32_t count, float zero, float *output)
{
    for (uint32_t i = 0; i < count; i++) {
        output[i] = (float)input[i] - zero;
    }
}

static float tbn_plain_row(const tbn_plain_layer *layer, uint32_t row, const float *input)
{
    float sum = 0.0f;
    if (layer->tile == NULL) {
        const float *weight = &layer->weights[row * layer->row_length];
        for (uint32_t i = 0; i < layer->row_length; i++) {
            sum += weight[i] * input[i];
        }
    } else {
        const float alpha = layer->alphas[row];
        uint32_t position = row * layer->row_length % layer->tile_length;
        for (uint32_t i = 0; i < layer->row_length; i++) {
            const float sign = (layer->tile[position >> 3] >> (position & 7u) & 1u) != 0 ? 1.0f : -1.0f;
            sum += sign * alpha * input[i];
            position = position + 1 == layer->tile_length ? 0 : position + 1;
        }
    }
    sum += layer->bias[row];
    return layer->relu && sum < 0.0f ? 0.0f : sum;
}

void tbn_plain_fully_connected(const tbn_plain_layer *layer, const float *input, float *output)
{
    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = tbn_plain_row(layer, row, input);
    }
}

void tbn_plain_conv2d(const tbn_plain_layer *layer, const tbn_window *window, const float *input, const tbn_image *input_shape, float *output,
                      const tbn_image *output_shape, float *patch)
{
    const uint32_t positions = output_shape->height * output_shape->width;
    for (uint32_t position = 0; position < positions; position++) {
        const uint32_t top = position / output_shape->width * window->stride_y - window->top;
        const uint32_t left = position % output_shape->width * window->stride_x - window->left;
        uint32_t taps = 0;
        for (uint32_t channel = 0; channel < input_shape->channels; channel++) {
            for (uint32_t i = 0; i < window->kernel_height; i++) {
                for (uint32_t j = 0; j < window->kernel_width; j++) {
                    const uint32_t y = top + i * window->dilation_y, x = left + j * window->dilation_x; /* wrap around before the image */
                    const int inside = y < input_shape->height && x < input_shape->width;
                    patch[taps++] = inside ? input[(channel * input_shape->height + y) * input_shape->width + x] : 0.0f;
                }
            }
        }
        for (uint32_t row = 0; row < layer->rows; row++) {
            const float *own = &patch[row / (layer->rows / layer->groups) * layer->row_length];
            output[row * positions + position] = tbn_plain_row(layer, row, own);
        }
    }
}

void tbn_plain_max_pool(const tbn_window *window, const float *input, const tbn_image *input_shape, float *output,
                        const tbn_image *output_shape)
{
    for (uint32_t channel = 0; channel < input_shape->channels; channel++, input += input_shape->height * input_shape->width) {
        for (uint32_t row = 0; row < output_shape->height; row++) {
            for (uint32_t column = 0; column < output_shape->width; column++) {
                float best = -3.0e38f;
                for (uint32_t i = 0; i < window->kernel_height; i++) {
                    for (uint32_t j = 0; j < window->kernel_width; j++) {
                        const uint32_t y = row * window->stride_y + i * window->dilation_y - window->top;
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
}

void tbn_plain_average_pool(const tbn_window *window, const float *input, const tbn_image *input_shape, float factor, float bias, float *output,
                            const tbn_image *output_shape)
{
    for (uint32_t channel = 0; channel < input_shape->channels; channel++, input += input_shape->height * input_shape->width) {
        for (uint32_t row = 0; row < output_shape->height; row++) {
            for (uint32_t column = 0; column < output_shape->width; column++) {
                float sum = 0.0f;
                for (uint32_t i = 0; i < window->kernel_height; i++) {
                    for (uint32_t j = 0; j < window->kernel_width; j++) {
                        sum += input[(row * window->stride_y + i) * input_shape->width + column * window->stride_x + j];
                    }
                }
                *output++ = sum * factor + bias;
            }
        }
    }
}
