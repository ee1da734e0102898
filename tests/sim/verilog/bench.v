// One array of each kind with memories around it. Both operands lie with K last; the result is
// [rows of left][rows of right]. Input stationary is `stationary` with the operands exchanged.
module bench #(
    parameter ROWS = 4,
    parameter COLS = 4,
    parameter SIDE = 32
) (
    input  wire               clock,
    input  wire               reset,
    input  wire               stationary,
    input  wire               double_buffer,
    input  wire [15:0]        m,
    input  wire [15:0]        n,
    input  wire [15:0]        k,
    input  wire               write_left,
    input  wire               write_right,
    input  wire [15:0]        address,
    input  wire signed [7:0]  data,
    output wire signed [31:0] result,  // of `address`
    output reg  [31:0]        cycles,
    output reg                done
);
  reg signed [7:0] left_memory [0:SIDE*SIDE-1];
  reg signed [7:0] right_memory [0:SIDE*SIDE-1];
  reg signed [31:0] out_memory [0:SIDE*SIDE-1];
  assign result = out_memory[address];
  always @(posedge clock) begin
    if (write_left) left_memory[address] <= data;
    if (write_right) right_memory[address] <= data;
  end

  wire os_valid, os_first, os_last, os_row, os_finished;
  wire [15:0] os_step, os_m0, os_n0, os_out_row, os_out_n0;
  wire st_load, st_valid, st_first, st_row, st_finished;
  wire [15:0] st_load_k, st_load_n, st_index, st_feed_k, st_out_row, st_out_n, st_out_k;
  wire [COLS*32-1:0] os_out, st_out;
  wire os_reset = reset || stationary || done;
  wire st_reset = reset || !stationary || done;

  sequencer_os #(ROWS, COLS) os_sequencer (
      clock, os_reset, double_buffer, m, n, k, os_row, os_valid, os_first, os_last, os_step,
      os_m0, os_n0, os_out_row, os_out_n0, os_finished);
  sequencer_stationary #(ROWS, COLS) st_sequencer (
      clock, st_reset, double_buffer, m, n, k, st_row, st_load, st_load_k, st_load_n, st_valid,
      st_first, st_index, st_feed_k, st_out_row, st_out_n, st_out_k, st_finished);

  // Operands outside the matrices are zero: a fold fills the whole array.
  reg [ROWS*8-1:0] os_a, st_x;
  reg [COLS*8-1:0] os_w, st_s;
  integer i;
  always @* begin
    for (i = 0; i < ROWS; i = i + 1) begin
      os_a[i*8 +: 8] = os_m0 + i < {16'd0, m}
          ? left_memory[(os_m0 + i) * SIDE + os_step] : 8'd0;
      st_x[i*8 +: 8] = st_feed_k + i < {16'd0, k}
          ? left_memory[st_index * SIDE + st_feed_k + i] : 8'd0;
    end
    for (i = 0; i < COLS; i = i + 1) begin
      os_w[i*8 +: 8] = os_n0 + i < {16'd0, n}
          ? right_memory[(os_n0 + i) * SIDE + os_step] : 8'd0;
      st_s[i*8 +: 8] = st_load_n + i < {16'd0, n} && st_load_k < k
          ? right_memory[(st_load_n + i) * SIDE + st_load_k] : 8'd0;
    end
  end

  array_os #(ROWS, COLS) os_array (
      clock, os_reset, double_buffer, os_valid, os_first, os_last, os_a, os_w, os_row, os_out);
  array_stationary #(ROWS, COLS) st_array (
      clock, st_reset, st_load, st_s, st_valid, st_first, st_x, st_row, st_out);

  integer j;
  always @(posedge clock) begin
    if (reset) begin
      cycles <= 32'd0;
      done <= 1'b0;
    end else if (!done) begin
      cycles <= cycles + 32'd1;
      done <= stationary ? st_finished : os_finished;
      for (j = 0; j < COLS; j = j + 1) begin
        if (!stationary && os_row && os_out_row < m && os_out_n0 + j < {16'd0, n})
          out_memory[os_out_row * SIDE + os_out_n0 + j] <= os_out[j*32 +: 32];
        if (stationary && st_row && st_out_n + j < {16'd0, n})
          out_memory[st_out_row * SIDE + st_out_n + j] <= st_out[j*32 +: 32]
              + (st_out_k == 0 ? 32'd0 : out_memory[st_out_row * SIDE + st_out_n + j]);
      end
    end
  end
endmodule
