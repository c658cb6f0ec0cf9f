/* What fully connected layers and convolutions in other orders share (tbn_integer_orders.h). */
#ifndef TBN_INTEGER_ORDERED_H
#define TBN_INTEGER_ORDERED_H

#include "tbn_integer_layer.h"
#include "tbn_integer_orders.h"

/* Some rows as a layer of their own, which the functions of the paper's order take: a copy of all distinct rows, or the rows of a rolled tile. */
typedef struct {
    tbn_integer_layer layer;
    uint32_t sums;   /* where its sums begin */
    uint32_t output; /* its first output */
    uint32_t step;   /* from output to output */
} tbn_part;

tbn_status tbn_integer_ordered_check(const tbn_integer_layer *layer, uint32_t roll, const tbn_integer_scratch *scratch);

/* How many parts a layer has, and one of them. */
uint32_t tbn_integer_parts(const tbn_integer_layer *layer, uint32_t roll);
void tbn_integer_part(const tbn_integer_layer *layer, uint32_t roll, uint32_t parts, uint32_t number, tbn_part *part);

/* How many of the distinct rows from `row` on see the same inputs and lie one after the other in the tile, from bit *position on. */
uint32_t tbn_integer_ordered_run(const tbn_integer_layer *layer, uint32_t roll, uint32_t row, uint32_t *position);

/* As tbn_integer_sums and tbn_integer_finish. */
void tbn_integer_ordered_sums(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, const tbn_integer_scratch *scratch);
void tbn_integer_ordered_finish(const tbn_integer_layer *layer, uint32_t roll, const int32_t *sums, uint8_t *codes, int32_t *values,
                                uint32_t stride);

/* Whether rows are whole in the tile, so that the fast ways take them. */
static inline int tbn_whole_rows(const tbn_integer_layer *layer, uint32_t roll)
{
    return roll == 0 ? layer->tile_length == layer->distinct_rows * layer->row_length : layer->tile_length % layer->row_length == 0;
}

/* The layer with all the bits that are stored as its tile, as the fast ways read it. */
static inline tbn_integer_layer tbn_stored(const tbn_integer_layer *layer, uint32_t roll)
{
    tbn_integer_layer stored = *layer;
    stored.tile_length += roll == 0 ? 0 : layer->row_length - 1;
    return stored;
}

#endif
