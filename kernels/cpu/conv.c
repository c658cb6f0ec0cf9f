/* Tiled convolution on a CPU: the distinct filters only, from packed signs (lut.h says how), written once a copy with scale, bias and ReLU.
 *
 * How: an input pixel meets every place of the kernel and every filter with the same tables, so the tables are made once for a pixel and 4
 * channels and serve kernel places x filters look-ups: no patches are copied out (no im2col) and no product is taken over padding rows. The
 * output is cut into tiles of a few rows (or parts of a row), and the channels into slabs, such that the tables of a slab stay in the second
 * cache. Codes: uint32 (blocks of 16 filters, chunks of 32 channels, kernel places, 16). The caller (kernels.cpu.conv) owns all memory.
 */
#include "lut.h"

enum { RUN = 256 }; /* pixels that are transposed at a time, 16 KB of stack */

typedef struct { /* one convolution; sizes in pixels, strides of x in floats, and all in the order of kernels.cpu.conv.Plan */
    int64_t channels, height, width;
    int64_t image_stride, channel_stride, row_stride, column_stride;
    int64_t filters, copies, out_height, out_width;
    int64_t kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
    int64_t tile_height, tile_width; /* output pixels of a tile */
    int64_t slab;                    /* chunks of 32 channels whose tables are alive */
    int64_t pitch; /* floats from a pixel's tables to the next pixel's: an odd number of tables, so that they use all sets of a cache */
    int64_t region_height, region_width; /* input pixels that a tile sees */
    int64_t channels_last, each, relu; /* of the output; whether scale is one an output; whether negative outputs become 0 */
} tbn_conv;

typedef struct { /* a tile: first output pixel, output pixels, first input pixel (may lie in the padding) */
    int64_t image, y, x, height, width, in_y, in_x;
} tbn_tile;

TBN_INLINE int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

TBN_INLINE int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Tables of the groups of one slab for one row of the region; x: channel 0 of its first pixel inside of the image. */
static void row_tables(const tbn_lut *lut, const tbn_conv *c, const float *x, int64_t pixels, int64_t group, int64_t groups, float *to)
{
    const int64_t next = c->pitch;
    for (int64_t g = group; g < group + groups; g++, to += LANES) {
        const int64_t there = c->channels - 4 * g;
        const float *from = x + 4 * g * c->channel_stride;
        if (there >= 4)
            lut->tables(from, c->channel_stride, c->column_stride, pixels, to, next);
        else
            for (int64_t pixel = 0; pixel < pixels; pixel++) {
                float four[4] = {0};
                for (int64_t i = 0; i < there; i++)
                    four[i] = from[i * c->channel_stride + pixel * c->column_stride];
                lut->tables(four, 1, 4, 1, to + pixel * next, next);
            }
    }
}

/* Tables of one slab for all rows of the tile's region that lie in the image. */
static void slab_tables(const tbn_lut *lut, const tbn_conv *c, const tbn_tile *t, const float *x, int64_t chunk, int64_t chunks, float *tables)
{
    const int64_t next = c->pitch;
    const int64_t rows = (t->height - 1) * c->stride_y + (c->kernel_y - 1) * c->dilation_y + 1;
    const int64_t columns = (t->width - 1) * c->stride_x + (c->kernel_x - 1) * c->dilation_x + 1;
    const int64_t left = least(most(-t->in_x, 0), columns), right = most(least(c->width - t->in_x, columns), left);
    for (int64_t row = most(-t->in_y, 0); row < least(c->height - t->in_y, rows); row++) {
        float *to = tables + row * c->region_width * next;
        memset(to, 0, (size_t)(left * next) * sizeof(float));
        memset(to + right * next, 0, (size_t)((columns - right) * next) * sizeof(float));
        row_tables(lut, c, x + t->image * c->image_stride + (t->in_y + row) * c->row_stride + (t->in_x + left) * c->column_stride,
                   right - left, chunk * GROUPS, chunks * GROUPS, to + left * next);
    }
}

/* The steps of one slab for an output row whose first input row is in_y: places of the kernel above or below the image are left out. */
static int64_t row_steps(const tbn_conv *c, int64_t in_y, int64_t chunk, int64_t chunks, tbn_step *steps)
{
    int64_t count = 0;
    for (int64_t k = 0; k < chunks; k++)
        for (int64_t y = 0; y < c->kernel_y; y++) {
            const int64_t row = in_y + y * c->dilation_y;
            if (row < 0 || row >= c->height)
                continue;
            for (int64_t x = 0; x < c->kernel_x; x++, count++) {
                steps[count].word = (int32_t)(((chunk + k) * c->kernel_y + y) * c->kernel_x + x);
                steps[count].tables = (int32_t)((y * c->dilation_y * c->region_width + x * c->dilation_x) * c->pitch + k * TABLES);
            }
        }
    return count;
}

/* Add one slab to the sums z (pixels, blocks * 16) of a tile. */
static void slab_sums(const tbn_lut *lut, const tbn_conv *c, const tbn_tile *t, const uint32_t *codes, int64_t chunk, int64_t chunks,
                      const float *tables, tbn_step *steps, float *z)
{
    const int64_t blocks = (c->filters + LANES - 1) / LANES, next = c->stride_x * c->pitch;
    const int64_t row_words = (c->channels + CHUNK - 1) / CHUNK * c->kernel_y * c->kernel_x * LANES;
    for (int64_t y = 0; y < t->height; y++) {
        const int64_t count = row_steps(c, t->in_y + y * c->stride_y, chunk, chunks, steps);
        const float *row = tables + y * c->stride_y * c->region_width * c->pitch;
        for (int64_t x = 0; x < t->width; x += INPUTS) {
            const float *const pixels[INPUTS] = {row + x * next, row + (x + 1) * next};
            float *const sums[INPUTS] = {z + (y * t->width + x) * blocks * LANES, z + (y * t->width + x + 1) * blocks * LANES};
            lut->multiply(codes, row_words, blocks, steps, count, t->width - x < INPUTS ? 1 : INPUTS, pixels, sums);
        }
    }
}

/* Write a tile, NCHW: a plane is an output, and a run of its pixels lies together. */
static void write_planes(const tbn_lut *lut, const tbn_conv *c, const tbn_tile *t, const float *z, const float *scale, const float *bias, float *out)
{
    float planes[LANES][RUN] TBN_ALIGNED;
    const int64_t blocks = (c->filters + LANES - 1) / LANES, plane = c->out_height * c->out_width;
    const int whole = t->width == c->out_width; /* whole rows lie together, too */
    const int64_t length = whole ? t->height * t->width : t->width, lines = whole ? 1 : t->height;
    float *image = out + t->image * c->copies * c->filters * plane + t->y * c->out_width + t->x;
    for (int64_t line = 0; line < lines; line++)
        for (int64_t first = 0; first < length; first += RUN) {
            const int64_t count = least(RUN, length - first);
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t filters = least(LANES, c->filters - block * LANES);
                lut->transpose(z + ((line * length + first) * blocks + block) * LANES, blocks * LANES, count, planes[0], RUN);
                for (int64_t copy = 0; copy < c->copies; copy++)
                    for (int64_t lane = 0; lane < filters; lane++) {
                        const int64_t output = copy * c->filters + block * LANES + lane;
                        lut->finish(planes[lane], count, scale + (c->each ? output : copy), 0, bias ? bias + output : NULL, 0, (int)c->relu,
                                    image + output * plane + line * c->out_width + first);
                    }
            }
        }
}

/* Write a tile, channels last: the outputs of a pixel lie together. */
static void write_pixels(const tbn_lut *lut, const tbn_conv *c, const tbn_tile *t, const float *z, const float *scale, const float *bias, float *out)
{
    const int64_t blocks = (c->filters + LANES - 1) / LANES, outputs = c->copies * c->filters;
    for (int64_t y = 0; y < t->height; y++)
        for (int64_t x = 0; x < t->width; x++, z += blocks * LANES) {
            float *pixel = out + ((t->image * c->out_height + t->y + y) * c->out_width + t->x + x) * outputs;
            for (int64_t copy = 0; copy < c->copies; copy++) {
                const int64_t output = copy * c->filters;
                lut->finish(z, c->filters, scale + (c->each ? output : copy), (int)c->each, bias ? bias + output : NULL, 1, (int)c->relu,
                            pixel + output);
            }
        }
}

/* The tiles [start, stop) of all images. work, 64-byte aligned: the tables (region_height * region_width * pitch floats), then the sums
 * (tile_height * tile_width * blocks * 16 floats); steps: slab * kernel_y * kernel_x of them. */
TBN_EXPORT void tbn_cpu_conv(const tbn_lut *lut, const tbn_conv *c, const float *x, const uint32_t *codes, const float *scale, const float *bias,
                             float *out, float *work, int64_t start, int64_t stop)
{
    const int64_t blocks = (c->filters + LANES - 1) / LANES, chunks = (c->channels + CHUNK - 1) / CHUNK;
    const int64_t down = (c->out_height + c->tile_height - 1) / c->tile_height, across = (c->out_width + c->tile_width - 1) / c->tile_width;
    float *tables = work, *z = work + c->region_height * c->region_width * c->pitch;
    tbn_step *steps = (tbn_step *)(z + c->tile_height * c->tile_width * blocks * LANES);
    for (int64_t tile = start; tile < stop; tile++) {
        const int64_t y = tile / across % down * c->tile_height, x_ = tile % across * c->tile_width;
        const tbn_tile t = {tile / (across * down), y, x_, least(c->tile_height, c->out_height - y), least(c->tile_width, c->out_width - x_),
                            y * c->stride_y - c->padding_y, x_ * c->stride_x - c->padding_x};
        memset(z, 0, (size_t)(t.height * t.width * blocks * LANES) * sizeof(float));
        for (int64_t chunk = 0; chunk < chunks; chunk += c->slab) {
            const int64_t count = least(c->slab, chunks - chunk);
            slab_tables(lut, c, &t, x, chunk, count, tables);
            slab_sums(lut, c, &t, codes, chunk, count, tables, steps, z);
        }
        (c->channels_last ? write_pixels : write_planes)(lut, c, &t, z, scale, bias, out);
    }
}
