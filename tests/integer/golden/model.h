/* example: 72 raw bytes in, 3 integers out. Generated; a new export replaces it. */
#ifndef TBN_MODEL_H
#define TBN_MODEL_H

#include "tbn_integer.h"
#include "tbn_integer_classes.h"
#include "tbn_integer_vectors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the generated source: tells whether a board runs this model. */
#define TBN_MODEL_HASH "31aea611bdd0c23f"

#define TBN_MODEL_INPUT_BYTES 72
#define TBN_MODEL_OUTPUTS 3
#define TBN_MODEL_WEIGHT_BYTES 550 /* tiles, factors, biases and tables, in flash */
#define TBN_MODEL_ARENA_BYTES (696 + TBN_INTEGER_BLOCK_BYTES)
#define TBN_MODEL_OUTPUT_SCALE 1.00000000e+00f /* the float network's output is about this times the integer */

/* Memory of the caller; no need to keep it between calls. Tensors in `codes`, by the operation that writes them:
 *        0 ..    143   t1
 *        0 ..    143   t5
 *        0 ..    287   t8
 *        0 ..    287   t9
 *        0 ..     15   t11
 *        0 ..     15   t14
 *        0 ..     31   t15
 *       16 ..     19   t12
 *       16 ..     31   t13
 *      144 ..    287   t2
 *      144 ..    287   t4
 *      288 ..    431   t3
 *      288 ..    431   t7
 *      288 ..    415   t10
 *      432 ..    467   t6
 */
typedef struct {
    int32_t sums[16];
    tbn_integer_block block;
    uint8_t patch[164];
    uint8_t codes[468];
} tbn_model_arena;
TBN_STATIC_ASSERT(sizeof(tbn_model_arena) == TBN_MODEL_ARENA_BYTES, "the arena was planned for other alignments");

/* `input`: a byte b stands for 1 * (b - 0). The largest of `outputs` is the class: tbn_integer_argmax(outputs, TBN_MODEL_OUTPUTS). */
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, tbn_model_arena *arena, int32_t *outputs, uint32_t output_count);

/* Every class's share of 65535 (softmax) for outputs that tbn_model_run gave. */
tbn_status tbn_model_shares(const int32_t *outputs, uint32_t output_count, uint16_t *shares);

#ifdef __cplusplus
}
#endif
#endif
