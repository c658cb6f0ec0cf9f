/* tbn_runtime: inference of Tiled Bit Networks in C99 (the method: arXiv 2407.12075).
 *
 * A weight matrix of `rows` x `row_length` is p copies of one tile of q = rows * row_length / p signs, flattened row-major; copy i is
 * scaled by alphas[i] (or by alphas[0] where the layer has one alpha). With g = gcd(rows, p) the first R = rows / g rows hold whole
 * tiles, and row r + k * R has the signs of row r. So R rows are computed and written g times.
 *
 * Bit order of a tile: bit k of byte j is element 8 * j + k; 1 is +1, 0 is -1. Padding bits are not read as weights.
 */
#ifndef TBN_RUNTIME_H
#define TBN_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "tbn_flash.h"

#ifdef __cplusplus
#define TBN_STATIC_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define TBN_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

TBN_STATIC_ASSERT(sizeof(float) == 4, "float has to be IEEE-754 binary32");

typedef enum {
    TBN_OK = 0,
    TBN_ERROR_NULL = 1,   /* a pointer that is needed is NULL */
    TBN_ERROR_SHAPE = 2,  /* the layer's numbers contradict each other, or do not suit this operation */
    TBN_ERROR_BUFFER = 3  /* a buffer of the caller is too short */
} tbn_status;

typedef enum { TBN_NO_ACTIVATION = 0, TBN_RELU = 1 } tbn_activation;

/* Inputs whose sums are in the table at one time, and the floats the table takes: 16 sums for each 4 inputs. */
enum { TBN_TABLE_INPUTS = 64, TBN_TABLE_FLOATS = TBN_TABLE_INPUTS * 4 };

/* One fully connected layer with tiled signs. Everything that a pointer names lies in flash (see tbn_flash.h). */
typedef struct {
    uint32_t rows;             /* m, outputs */
    uint32_t row_length;       /* n, inputs */
    uint32_t tiles;            /* p */
    uint32_t copies;           /* g = gcd(m, p) */
    uint32_t alpha_count;      /* p: an alpha a tile; 1: one for the layer */
    tbn_activation activation; /* applied to the outputs */
    const uint8_t *tile;       /* (q + 7) / 8 bytes */
    const float *alphas;       /* alpha_count floats */
    const float *bias;         /* m floats, or NULL */
} tbn_tiled_layer;

/* One fully connected layer with float32 weights. */
typedef struct {
    uint32_t rows;
    uint32_t row_length;
    tbn_activation activation;
    const float *weight; /* rows x row_length, row-major */
    const float *bias;   /* rows, or NULL */
} tbn_float32_layer;

/* output[i] = input[i] * scale + offset: raw sensor bytes to what the network was trained on. */
tbn_status tbn_scale_input(const uint8_t *input, uint32_t count, float scale, float offset, float *output, uint32_t output_count);

/* Needs: copies == tiles (p divides the rows) and row_length a multiple of 8. `table` is scratch of TBN_TABLE_FLOATS.
 * Work: rows / p * row_length additions of a table entry for each 4 inputs. */
tbn_status tbn_fully_connected_tiled(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                     uint32_t output_count, float *table, uint32_t table_count);

/* Any geometry. Work: one addition for each of the rows / copies * row_length signs. */
tbn_status tbn_fully_connected_pieces(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                      uint32_t output_count);

/* Equal rows side by side: output r * g + k has the signs of row r, and tile k's alpha. Needs, and works, as tbn_fully_connected_tiled. */
tbn_status tbn_fully_connected_interleaved(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                           uint32_t output_count, float *table, uint32_t table_count);

/* Any geometry, in other orders. roll 0: equal rows side by side. roll > 0: no rows are equal, `copies` is 1, and sign j of tile i is sign
 * (j - i * roll) mod q of the tile. Work: one addition for each of the rows / copies * row_length signs. */
tbn_status tbn_fully_connected_ordered(const tbn_tiled_layer *layer, uint32_t roll, const float *input, uint32_t input_count, float *output,
                                       uint32_t output_count);

/* In place: values[i] = sum over copies of alphas[copy] * values[copy * count + i], for inputs that meet equal signs; alphas NULL: of ones. */
tbn_status tbn_fold_inputs(float *values, uint32_t count, uint32_t copies, const float *alphas);

tbn_status tbn_fully_connected_float32(const tbn_float32_layer *layer, const float *input, uint32_t input_count, float *output,
                                       uint32_t output_count);

/* values[i] = max(values[i], 0), in place. */
tbn_status tbn_relu(float *values, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
