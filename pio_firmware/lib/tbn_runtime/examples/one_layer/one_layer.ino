// One fully connected layer of a Tiled Bit Network: 8 outputs of 16 inputs, p = 4. The tile has 8 * 16 / 4 = 32 signs in 4 bytes, which are
// the first two rows; rows 2 and 3, 4 and 5, 6 and 7 have the same signs and multipliers of their own.
#include <tbn_integer.h>

static const uint8_t tile[4] TBN_FLASH = {0xf8, 0xff, 0x5a, 0xfa};
static const int16_t multipliers[4] TBN_FLASH = {64, 128, 192, 256};
static const int16_t biases[1] TBN_FLASH = {0};

static tbn_integer_layer layer;
static tbn_integer_block block;
static int32_t sums[2];

void setup()
{
    layer.rows = 8;
    layer.row_length = 16;
    layer.distinct_rows = 2;
    layer.tile_length = 32;
    layer.sums = 2;
    layer.groups = 1;
    layer.multiplier_count = 4; // one a tile
    layer.bias_count = 1;
    layer.tile = tile;
    layer.multipliers = multipliers;
    layer.biases = biases;
    layer.shift = 10; // outputs are sums * multiplier / 1024, from low to high: a ReLU
    layer.low = 0;
    layer.high = 255;
    Serial.begin(115200);
}

void loop()
{
    uint8_t input[16], output[8];
    for (uint8_t i = 0; i < 16; i++) {
        input[i] = (uint8_t)(i * 10);
    }
    const tbn_integer_scratch scratch = {&block, sums, 2, NULL, 0};
    const tbn_status status = tbn_integer_fully_connected(&layer, input, sizeof input, output, sizeof output, &scratch);
    Serial.print(status == TBN_OK ? "outputs" : "refused");
    for (uint8_t i = 0; i < 8; i++) {
        Serial.print(' ');
        Serial.print(output[i]);
    }
    Serial.println();
    delay(1000);
}
