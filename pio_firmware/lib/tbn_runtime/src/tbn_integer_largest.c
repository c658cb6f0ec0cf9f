/* Some positions after the other are copied together, convolved as an image of their own, and forgotten but for the largest outputs. */
#include "tbn_integer_vectors.h"

/* Copies `width` positions of every channel. */
static void tbn_take_strip(const uint8_t *input, uint32_t channels, uint32_t positions, uint32_t width, uint8_t *strip)
{
    for (uint32_t channel = 0; channel < channels; channel++, input += positions) {
        for (uint32_t i = 0; i < width; i++) {
            *strip++ = input[i];
        }
    }
}

tbn_status tbn_integer_largest(const tbn_integer_layer *layer, const uint8_t *input, const tbn_image *input_shape, uint8_t *output,
                               uint32_t output_count, const tbn_integer_scratch *scratch)
{
    static const tbn_window window = {1, 1, 1, 1, 0, 0, 1, 1};
    if (layer == NULL || input == NULL || input_shape == NULL || output == NULL || scratch == NULL || scratch->patch == NULL) {
        return TBN_ERROR_NULL;
    }
    if (input_shape->channels != layer->row_length || input_shape->height == 0 || input_shape->width == 0) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t room = TBN_INTEGER_STRIP * (layer->row_length + layer->rows) + layer->row_length;
    if (output_count < layer->rows || scratch->patch_count < room) {
        return TBN_ERROR_BUFFER;
    }
    const uint32_t positions = input_shape->height * input_shape->width;
    uint8_t *const strip = &scratch->patch[layer->row_length];
    uint8_t *const outputs = &strip[TBN_INTEGER_STRIP * layer->row_length];
    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = 0;
    }
    for (uint32_t start = 0; start < positions; start += TBN_INTEGER_STRIP) {
        const uint32_t width = positions - start < TBN_INTEGER_STRIP ? positions - start : (uint32_t)TBN_INTEGER_STRIP;
        const tbn_image from = {layer->row_length, 1, width}, to = {layer->rows, 1, width};
        tbn_take_strip(&input[start], layer->row_length, positions, width, strip);
        const tbn_status status = tbn_integer_conv2d(layer, &window, strip, &from, outputs, &to, scratch);
        if (status != TBN_OK) {
            return status;
        }
        const uint8_t *each = outputs;
        for (uint32_t row = 0; row < layer->rows; row++) {
            for (uint32_t i = 0; i < width; i++, each++) {
                if (*each > output[row]) {
                    output[row] = *each;
                }
            }
        }
    }
    return TBN_OK;
}
