// Walks the folds of an output-stationary product: rows of the result inside, columns outside.
module sequencer_os #(
    parameter ROWS = 4,
    parameter COLS = 4
) (
    input  wire        clock,
    input  wire        reset,
    input  wire        double_buffer,
    input  wire [15:0] m,
    input  wire [15:0] n,
    input  wire [15:0] k,
    input  wire        row_valid,
    output wire        valid,       // feed step `step` of the fold at (m0, n0)
    output wire        first,
    output wire        last,
    output wire [15:0] step,
    output reg  [15:0] m0,
    output reg  [15:0] n0,
    output wire [15:0] out_row,     // the row of the result that leaves
    output reg  [15:0] out_n0,
    output wire        finished     // with this row the last one leaves
);
  reg busy, any_fed;
  reg [15:0] at, age, in_flight, out_m0, count;

  wire more = n0 < n;
  // With second registers the first PE must not be done before older sums have passed it.
  wire ready = double_buffer ? (!any_fed || k + age > ROWS) : in_flight == 0;
  wire begins = !busy && more && ready;
  assign valid = busy || begins;
  assign step = busy ? at : 16'd0;
  assign first = begins;
  assign last = valid && step == k - 16'd1;

  assign out_row = out_m0 + (double_buffer ? ROWS - 16'd1 - count : count);
  wire fold_leaves = row_valid && count == ROWS - 1;
  wire out_wraps = out_m0 + ROWS >= m;
  assign finished = fold_leaves && out_wraps && out_n0 + COLS >= n;

  always @(posedge clock) begin
    if (reset) begin
      {busy, any_fed} <= 2'b0;
      {at, age, in_flight, m0, n0, out_m0, out_n0, count} <= 128'd0;
    end else begin
      busy <= valid && !last;
      at <= step + 16'd1;
      age <= last ? 16'd1 : age + 16'd1;
      if (last) begin
        any_fed <= 1'b1;
        m0 <= m0 + ROWS >= m ? 16'd0 : m0 + ROWS;
        n0 <= m0 + ROWS >= m ? n0 + COLS : n0;
      end
      in_flight <= in_flight + {15'd0, begins} - {15'd0, fold_leaves};
      if (row_valid) count <= count == ROWS - 1 ? 16'd0 : count + 16'd1;
      if (fold_leaves) begin
        out_m0 <= out_wraps ? 16'd0 : out_m0 + ROWS;
        out_n0 <= out_wraps ? out_n0 + COLS : out_n0;
      end
    end
  end
endmodule
