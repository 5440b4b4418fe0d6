"""Does a run survive what can happen to it? Processes are really killed, files really damaged.

Four subjects, each a module with `case(number)`, which does one thing from a seed of that number
and says how it ended:

    files       a file that was changed by hand: refused with nothing changed, or trained on
    kills       a training that was killed or told to end: resumed, the same to the last bit
    interrupts  a call that Ctrl-C cut short: everything as before
    threads     sixteen threads that predict while one trains: nobody notices the other

`python -m benchmarks reliability` runs them all, `python -m benchmarks.reliability files 4711`
one case again.
"""
