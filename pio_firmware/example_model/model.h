#ifndef TBN_MODEL_H
#define TBN_MODEL_H
#include "tbn_runtime.h"
#define TBN_MODEL_HASH "0123456789abcdef"
enum { TBN_MODEL_INPUT_BYTES=8, TBN_MODEL_OUTPUTS=2, TBN_MODEL_WEIGHT_BYTES=6, TBN_MODEL_ARENA_FLOATS=300};
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, float *arena, uint32_t arena_floats, float *outputs, uint32_t output_count);
#endif
