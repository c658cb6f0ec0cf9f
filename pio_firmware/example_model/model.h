/* example, MLP 64-32-10: 64 raw bytes in, 10 integers out. Generated; a new export replaces it. */
#ifndef TBN_MODEL_H
#define TBN_MODEL_H

#include "tbn_integer.h"
#include "tbn_integer_classes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the generated source: tells whether a board runs this model. */
#define TBN_MODEL_HASH "fe247e0262f97ad7"

#define TBN_MODEL_INPUT_BYTES 64
#define TBN_MODEL_OUTPUTS 10
#define TBN_MODEL_WEIGHT_BYTES 198 /* tiles, factors, biases and tables, in flash */
#define TBN_MODEL_ARENA_BYTES (72 + TBN_INTEGER_BLOCK_BYTES)
#define TBN_MODEL_OUTPUT_SCALE 3.47821248e-07f /* the float network's output is about this times the integer */

/* Memory of the caller; no need to keep it between calls. Tensors in `codes`, by the operation that writes them:
 *        0 ..     31   fc1
 */
typedef struct {
    int32_t sums[10];
    tbn_integer_block block;
    uint8_t codes[32];
} tbn_model_arena;
TBN_STATIC_ASSERT(sizeof(tbn_model_arena) == TBN_MODEL_ARENA_BYTES, "the arena was planned for other alignments");

/* `input`: a byte b stands for 0.00392157 * (b - 64). The largest of `outputs` is the class: tbn_integer_argmax(outputs, TBN_MODEL_OUTPUTS). */
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count);

/* Every class's share of 65535 (softmax) for outputs that tbn_model_run gave. */
tbn_status tbn_model_shares(const int32_t *outputs, uint32_t output_count, uint16_t *shares);

#ifdef __cplusplus
}
#endif
#endif
