// Walks the folds of a product with a stationary operand: steps of K inside, columns outside.
module sequencer_stationary #(
    parameter ROWS = 4,
    parameter COLS = 4
) (
    input  wire        clock,
    input  wire        reset,
    input  wire        double_buffer,
    input  wire [15:0] length,       // rows of the moving operand
    input  wire [15:0] n,            // columns of the stationary operand
    input  wire [15:0] k,
    input  wire        row_valid,
    output wire        load,         // load row `load_k` of the columns from load_n on
    output wire [15:0] load_k,
    output reg  [15:0] load_n,
    output wire        valid,        // feed row `index` of the moving operand, K from feed_k on
    output wire        first,
    output wire [15:0] index,
    output reg  [15:0] feed_k,
    output reg  [15:0] out_row,
    output reg  [15:0] out_n,
    output reg  [15:0] out_k,
    output wire        finished
);
  reg loading, streaming;
  reg [15:0] load_at, load_base, stream_at, feed_n;
  reg [15:0] loads, folds, left;  // folds that are loaded, streamed, out

  wire begins = !streaming && feed_n < n && loads != folds;
  assign valid = streaming || begins;
  assign first = begins;
  assign index = streaming ? stream_at : 16'd0;
  wire stream_ends = valid && index == length - 16'd1;

  // With double buffering the load follows the takeovers of the fold before.
  wire ready = double_buffer ? loads <= folds + {15'd0, valid}
                             : loads == left && loads == folds && !valid;
  wire load_begins = !loading && load_n < n && ready;
  assign load = loading || load_begins;
  wire [15:0] load_index = loading ? load_at : 16'd0;
  assign load_k = load_base + ROWS - 16'd1 - load_index;
  wire load_ends = load && load_index == ROWS - 1;

  wire fold_leaves = row_valid && out_row == length - 16'd1;
  wire out_wraps = out_k + ROWS >= k;
  assign finished = fold_leaves && out_wraps && out_n + COLS >= n;

  always @(posedge clock) begin
    if (reset) begin
      {loading, streaming} <= 2'b0;
      {load_at, load_base, load_n, stream_at, feed_k, feed_n} <= 96'd0;
      {loads, folds, left, out_row, out_k, out_n} <= 96'd0;
    end else begin
      loading <= load && !load_ends;
      load_at <= load_index + 16'd1;
      if (load_ends) begin
        loads <= loads + 16'd1;
        load_base <= load_base + ROWS >= k ? 16'd0 : load_base + ROWS;
        load_n <= load_base + ROWS >= k ? load_n + COLS : load_n;
      end
      streaming <= valid && !stream_ends;
      stream_at <= index + 16'd1;
      if (stream_ends) begin
        folds <= folds + 16'd1;
        feed_k <= feed_k + ROWS >= k ? 16'd0 : feed_k + ROWS;
        feed_n <= feed_k + ROWS >= k ? feed_n + COLS : feed_n;
      end
      if (row_valid) out_row <= fold_leaves ? 16'd0 : out_row + 16'd1;
      if (fold_leaves) begin
        left <= left + 16'd1;
        out_k <= out_wraps ? 16'd0 : out_k + ROWS;
        out_n <= out_wraps ? out_n + COLS : out_n;
      end
    end
  end
endmodule
