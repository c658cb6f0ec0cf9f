/* example: 72 raw bytes in, 3 integers out. Generated; a new export replaces it. */
#ifndef TBN_MODEL_H
#define TBN_MODEL_H

#include "tbn_integer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the generated source: tells whether a board runs this model. */
#define TBN_MODEL_HASH "b043c417d5c3764e"

#define TBN_MODEL_INPUT_BYTES 72
#define TBN_MODEL_OUTPUTS 3
#define TBN_MODEL_WEIGHT_BYTES 454 /* tiles, factors, biases and tables, in flash */
#define TBN_MODEL_ARENA_BYTES 1044
#define TBN_MODEL_OUTPUT_SCALE 1.00000000e+00f /* the float network's output is about this times the integer */

/* Memory of the caller; no need to keep it between calls. Tensors in `codes`, by the operation that writes them:
 *        0 ..    143   t1
 *        0 ..    143   t5
 *        0 ..      3   t7
 *        0 ..     15   t8
 *        0 ..     31   t9
 *      144 ..    287   t2
 *      144 ..    287   t4
 *      144 ..    179   t6
 *      288 ..    431   t3
 */
typedef struct {
    int32_t sums[16];
    int16_t table[TBN_INTEGER_TABLE_COUNT];
    uint8_t patch[36];
    uint8_t codes[432];
} tbn_model_arena;
TBN_STATIC_ASSERT(sizeof(tbn_model_arena) == TBN_MODEL_ARENA_BYTES, "the arena was planned for other alignments");

/* `input`: raw bytes. The largest of `outputs` is the class. */
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count);

#ifdef __cplusplus
}
#endif
#endif
