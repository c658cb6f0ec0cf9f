#include "tbn_integer_layer.h"

tbn_status tbn_integer_affine(const tbn_integer_channels *channels, const uint8_t *input, uint8_t *output, uint32_t inner)
{
    if (channels == NULL || input == NULL || output == NULL || channels->multipliers == NULL || channels->biases == NULL) {
        return TBN_ERROR_NULL;
    }
    if (channels->shift > 30 || channels->bias_shift > 30 || channels->low > channels->high) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t channel = 0; channel < channels->channels; channel++) {
        const int32_t multiplier = TBN_READ_I16(&channels->multipliers[channel]);
        const int32_t bias = tbn_bias(channels->biases, channel, channels->bias_shift);
        for (uint32_t i = 0; i < inner; i++) {
            const int32_t value = ((int32_t)*input++ - channels->zero) * multiplier + bias;
            *output++ = tbn_clip(value >> channels->shift, channels->low, channels->high);
        }
    }
    return TBN_OK;
}
