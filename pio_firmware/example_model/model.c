#include "model.h"
static const uint8_t t[1]={0xa5}; static const float al[2]={1,2};
static const tbn_tiled_layer l={2,8,2,2,2,TBN_NO_ACTIVATION,t,al,NULL};
tbn_status tbn_model_run(const uint8_t *input, uint32_t input_bytes, float *arena, uint32_t arena_floats, float *outputs, uint32_t output_count)
{
  tbn_status s=tbn_scale_input(input,input_bytes,1,0,arena,8); if(s!=TBN_OK) return s;
  return tbn_fully_connected_tiled(&l,arena,8,outputs,output_count,arena+8,arena_floats-8);
}
