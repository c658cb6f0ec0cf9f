/* Convolutions of whole rows of signs, four neighbouring positions of a line at once: see tbn_integer_four.c. */
#ifndef TBN_INTEGER_FOUR_H
#define TBN_INTEGER_FOUR_H

#include "tbn_integer_window.h"

/* Inputs done at a time, words of the table of four of them, and how many codes' sum fits into a half of a word. */
enum { TBN_TAPS = 16, TBN_TABLE_WORDS = 32, TBN_PART = 256 };

/* Goes over the inputs under four windows: channel by channel, line by line. Lines and columns before the image wrap around. */
typedef struct {
    const tbn_window *window;
    const uint8_t *plane;
    uint32_t height, width;
    uint32_t inside;     /* columns from which four neighbours lie inside the image; 0: they do not follow each other */
    uint32_t zeros;      /* the zero point four times */
    uint32_t top, left;  /* of the first window */
    uint32_t y, x, i, j; /* of the next input, in the image and in the window */
} tbn_walk;

/* The next `count` inputs of the four positions, a word each, the first position in the lowest byte; zero points beside the image. */
void tbn_integer_gather_four(tbn_walk *walk, uint32_t count, uint32_t *codes);

/* sums[4 * row + k] of position k and all `rows` rows of a group, whose signs start at `position` of the tile. `packed` has two words a row and
 * may lie where `sums` does if rows are no longer than TBN_PART. */
void tbn_integer_sums_of_four(const tbn_integer_layer *layer, tbn_walk *walk, uint32_t position, uint32_t rows, tbn_integer_block *block,
                              int32_t *sums, uint32_t *packed);

/* As tbn_integer_finish, for `valid` positions side by side. */
void tbn_integer_finish_four(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, uint32_t stride, uint32_t valid);

#endif
