// A line of DEPTH registers; none for a depth of 0.
module delay #(
    parameter WIDTH = 8,
    parameter DEPTH = 1
) (
    input  wire             clock,
    input  wire             reset,
    input  wire [WIDTH-1:0] in,
    output wire [WIDTH-1:0] out
);
  generate
    if (DEPTH == 0) begin : none
      assign out = in;
    end else begin : some
      reg [WIDTH-1:0] line [0:DEPTH-1];
      integer i;
      always @(posedge clock) begin
        line[0] <= reset ? {WIDTH{1'b0}} : in;
        for (i = 1; i < DEPTH; i = i + 1) line[i] <= reset ? {WIDTH{1'b0}} : line[i-1];
      end
      assign out = line[DEPTH-1];
    end
  endgenerate
endmodule
