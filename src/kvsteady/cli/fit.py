"""``kvsteady fit``: iteration times from a recorded run, and how good they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kvsteady.cli.ending import OK, show, write_file
from kvsteady.errors import InputError


def fit(
    run_dir: Path,
    /,
    *,
    until: float | None = None,
    whole: Annotated[bool, Parameter(name="--all")] = False,
    model: Path | None = None,
    gpu: str | None = None,
    kv_tokens: int | None = None,
    html: Path | None = None,
    json: bool = False,
    save: Path | None = None,
) -> int:
    """Fit iteration times to one part of a recorded vLLM run, and compare the other with them.

    Exit codes: 0 done, 2 bad input.

    Parameters
    ----------
    run_dir
        The run: requests.jsonl, timeseries.csv and meta.json, as LLMServingSim records one.
    until
        Fit to requests that finished by this second, compare with those that were scheduled
        later; the second by which a quarter had finished, if left out.
    whole
        Fit to all requests; the errors are then those of the fit.
    model
        config.json of the model, with --gpu: what the recording leaves open follows their roofline.
    gpu
        GPU whose figures a roofline takes, as in h100.
    kv_tokens
        KV capacity of the recorded engine; ample if left out.
    html
        Write a self-contained page with the curves to this file.
    json
        Print the numbers as JSON instead of the table.
    save
        Write the fitted time to this file, for kvsteady simulate --time FILE.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.memory import read_model_config
    from kvsteady.report.fit import render_fit, render_fit_html
    from kvsteady.simulate.fit.recorded import read_recorded
    from kvsteady.simulate.fit.report import AMPLE, fit_report, quarter
    from kvsteady.simulate.times.fitted import save_fitted

    if whole and until is not None:
        raise InputError("--all and --until are both given", allowed="one of them")
    if (model is None) != (gpu is None):
        missing = "--model" if model is None else "--gpu"
        raise InputError(f"{missing} is missing", allowed="--model config.json --gpu h100")
    for path, suffix in ((html, ".html"), (save, ".json")):
        if path is not None and (path.suffix != suffix or not path.parent.is_dir()):
            raise InputError("cannot be written", file=path, allowed=f"{suffix} in a folder")
    run = read_recorded(run_dir)
    found = fit_report(
        run,
        until=None if whole else quarter(run) if until is None else until,
        model=None if model is None else read_model_config(model),
        gpu=gpu,
        kv_tokens=AMPLE if kv_tokens is None else kv_tokens,
    )
    if save is not None:
        write_file(save, save_fitted(found.fitted))
    if html is not None:
        write_file(html, render_fit_html(found).encode())
    show(found, render_fit, json=json)
    return OK
