/* example, Sequential: 64 raw bytes in, 10 numbers out. Generated; a new export replaces it. */
#ifndef TBN_MODEL_H
#define TBN_MODEL_H

#include "tbn_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the weights, the shapes and the input's scale: tells whether a board runs this model. */
#define TBN_MODEL_HASH "43b2a386619010da"

#define TBN_MODEL_INPUT_BYTES 64
#define TBN_MODEL_OUTPUTS 10
#define TBN_MODEL_WEIGHT_BYTES 164 /* tiles, alphas and biases, in flash */
#define TBN_MODEL_ARENA_FLOATS 352

/* Arena, 1408 bytes of the caller's:
 *   float     0 ..    63   first: input
 *   float    64 ..    95   second: fc1
 *   float    96 ..   351   table: sums of 4 inputs
 */

/* `input`: raw bytes (the model scales them itself). `arena`: scratch, no need to keep it between calls. */
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, float *arena, uint32_t arena_floats, float *outputs,
                         uint32_t output_count);

#ifdef __cplusplus
}
#endif
#endif
