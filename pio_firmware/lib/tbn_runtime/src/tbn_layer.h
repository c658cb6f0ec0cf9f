/* Checks and the last step that the fully connected operations share. */
#ifndef TBN_LAYER_H
#define TBN_LAYER_H

#include "tbn_runtime.h"

static inline tbn_status tbn_check_tiled(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, const float *output,
                                         uint32_t output_count)
{
    if (layer == NULL || input == NULL || output == NULL || layer->tile == NULL || layer->alphas == NULL) {
        return TBN_ERROR_NULL;
    }
    if (layer->rows == 0 || layer->row_length == 0 || layer->tiles == 0 || layer->copies == 0 || layer->rows % layer->copies != 0 ||
        layer->tiles % layer->copies != 0 || layer->rows > UINT32_MAX / layer->row_length ||
        layer->rows * layer->row_length % layer->tiles != 0 || (layer->alpha_count != 1 && layer->alpha_count != layer->tiles)) {
        return TBN_ERROR_SHAPE;
    }
    return input_count < layer->row_length || output_count < layer->rows ? TBN_ERROR_BUFFER : TBN_OK;
}

static inline float tbn_alpha(const tbn_tiled_layer *layer, uint32_t tile)
{
    return TBN_READ_F32(&layer->alphas[layer->alpha_count == 1 ? 0 : tile]);
}

static inline float tbn_finish(float sum, const float *bias, uint32_t row, tbn_activation activation)
{
    if (bias != NULL) {
        sum += TBN_READ_F32(&bias[row]);
    }
    return activation == TBN_RELU && sum < 0.0f ? 0.0f : sum;
}

/* value * sign, where bit 0 of `bit` is the sign: flips the sign bit of the float instead of multiplying. */
static inline float tbn_signed(float value, uint32_t bit)
{
    union {
        float value;
        uint32_t pattern;
    } number = {value};
    number.pattern ^= (~bit & 1u) << 31;
    return number.value;
}

#endif
