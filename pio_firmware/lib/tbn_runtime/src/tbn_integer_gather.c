/* What lies under four neighbouring windows, input by input. Four codes that follow each other are one word; at the edges of a line it is
 * shifted and filled up with zero points. */
#include "tbn_integer_four.h"

static inline uint32_t tbn_four_codes(const uint8_t *at)
{
#if TBN_FOUR_BYTES
    return ((const tbn_loose_word *)at)->value;
#else
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
#endif
}

/* The four positions' codes from column `x` of a line on, the first in the lowest byte; zero points beside the image. */
static TBN_ALONE uint32_t tbn_edge_codes(const tbn_walk *walk, const uint8_t *line, uint32_t x)
{
    if (walk->inside != 0) { /* neighbours: a word from the edge, shifted */
        if (x < walk->width) {
            const uint32_t over = 8 * (x + 1 - walk->inside);
            return x < walk->inside ? tbn_four_codes(line + x)
                                    : tbn_four_codes(line + walk->inside - 1) >> over | walk->zeros << (32 - over);
        }
        const uint32_t before = 8 * (0u - x);
        return before < 32 && 0u - x < 4 ? tbn_four_codes(line) << before | walk->zeros >> (32 - before) : walk->zeros;
    }
    uint32_t codes = walk->zeros;
    for (uint32_t k = 0; k < 32; k += 8, x += walk->window->stride_x) {
        if (x < walk->width) {
            codes = (codes & ~((uint32_t)255 << k)) | (uint32_t)line[x] << k;
        }
    }
    return codes;
}

void tbn_integer_gather_four(tbn_walk *walk, uint32_t count, uint32_t *codes)
{
    const uint32_t *const end = codes + count;
    const uint32_t dilation = walk->window->dilation_x, kernel_width = walk->window->kernel_width, inside = walk->inside;
    uint32_t x = walk->x, j = walk->j;
    if (kernel_width == 1 && walk->window->kernel_height == 1 && walk->y < walk->height) { /* a single pixel of each channel */
        const uint8_t *line = walk->plane + walk->y * walk->width;
        const uint32_t plane = walk->height * walk->width;
        walk->plane += count * plane;
        for (; codes != end; line += plane) {
            *codes++ = x < inside ? tbn_four_codes(line + x) : tbn_edge_codes(walk, line, x);
        }
        return;
    }
    while (codes != end) {
        uint32_t taps = kernel_width - j; /* what is left of a line of the window, or of `count` */
        if (taps > (uint32_t)(end - codes)) {
            taps = (uint32_t)(end - codes);
        }
        j += taps;
        if (walk->y < walk->height) {
            const uint8_t *const line = walk->plane + walk->y * walk->width;
            for (; taps != 0; taps--, x += dilation) {
                *codes++ = x < inside ? tbn_four_codes(line + x) : tbn_edge_codes(walk, line, x);
            }
        } else {
            x += taps * dilation;
            for (; taps != 0; taps--) {
                *codes++ = walk->zeros;
            }
        }
        if (j == kernel_width) {
            j = 0;
            x = walk->left;
            walk->y += walk->window->dilation_y;
            if (++walk->i == walk->window->kernel_height) {
                walk->i = 0;
                walk->y = walk->top;
                walk->plane += walk->height * walk->width;
            }
        }
    }
    walk->x = x;
    walk->j = j;
}
