"""What every part of cxlab stands on: messages, metrics, designs, frames, totals, disclosure."""
