"""Every benchmark, one after the other."""

from benchmarks import (
    bench_certify,
    bench_model,
    bench_policies,
    bench_simulate,
    bench_spectrum,
    bench_traces,
)

for bench in (
    bench_model,
    bench_spectrum,
    bench_certify,
    bench_simulate,
    bench_policies,
    bench_traces,
):
    bench.main()
    print()
