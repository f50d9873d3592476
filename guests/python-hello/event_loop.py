"""What componentize-py's event loop lacks.

Owner: the project; a handler's author has no need to look here. Invariant: whatever a request does,
leaves undone or cancels, the others of its instance go on. A request is one call of the component
with a state of its own: what it runs next, what it waits for, and how much of it is left. It ends
when nothing is, for a call that ends while the host still works for it ends the instance.
"""

import asyncio
from contextvars import copy_context

import componentize_py_async_support as support
import componentize_py_runtime as runtime
import wit_world
from componentize_py_types import Ok
from host import complain

state_of = support._future_state  # whoever runs, runs for the request of this state


class Arrival(asyncio.Future):
    """What the host will answer. A call to it cannot be taken back, so the request lasts until it
    has answered, even where nobody waits for that any more."""

    def __init__(self, promise):
        super().__init__(loop=loop)
        self.promise = promise
        self.state = state_of.get()
        self.state.pending_count += 1

    def set_result(self, event):
        self.state.pending_count -= 1
        answer = runtime.promise_get_result(event, self.promise)  # frees what it holds
        if not self.cancelled():
            super().set_result(answer)


async def await_result(result):
    if isinstance(result, Ok):
        return result.value
    waitable, promise = result.value
    arrival = Arrival(promise)
    arrival.state.futures[waitable] = arrival
    runtime.waitable_join(waitable, waitable_set(arrival.state))
    return await arrival


def waitable_set(state):
    if state.waitable_set is None:
        state.waitable_set = runtime.waitable_set_new()
    return state.waitable_set


def refuse(why):
    """Else it fails without a word."""

    def refused(*_, **__):
        raise NotImplementedError(why)

    return refused


class Loop(type(asyncio.get_event_loop())):
    polled = None  # the state whose handles are running

    def create_task(self, coroutine, *, name=None, context=None, **_):
        """A task that the request does not end without."""
        context = copy_context() if context is None else context
        state = context[state_of]
        state.pending_count += 1

        def ended(_):
            state.pending_count -= 1

        task = asyncio.Task(coroutine, loop=self, name=name, context=context)
        task.add_done_callback(ended, context=context)
        return task

    def call_soon(self, callback, *args, context=None):
        context = copy_context() if context is None else context
        state = context[state_of]
        if self.polled not in (None, state) and not state.handles and state.pending_count:
            self.wake(context)
        handle = asyncio.Handle(callback, args, self, context)
        state.handles.append(handle)
        return handle

    def wake(self, context):
        """Gives another request, which waits for the host alone, something to wait for that comes
        at once: it held out for a lock, say, that this one lets go of."""
        writer, reader = wit_world.byte_stream()

        async def read():
            with reader:
                await reader.read(1)

        asyncio.Task(read(), loop=self, context=context.copy(), eager_start=True)
        with writer:
            pass

    def poll(self, state):
        self.polled = state
        while handles := state.handles:
            state.handles = []
            for handle in handles:
                try:
                    if not handle.cancelled():
                        handle._run()
                except BaseException as error:  # `sys.exit` in a task
                    complain("a task ended what it does not own", error)
        self.polled = None
        if self.exception is not None:
            raise self.exception
        if state.pending_count:
            waitable_set(state)  # else one that waits for nothing ends the instance

    def call_exception_handler(self, context):
        if error := context.get("exception"):
            complain("a task failed that nobody awaits", error)

    call_later = call_at = time = refuse(
        "a component's event loop has no timers, as asyncio.sleep, wait_for and timeout need; "
        "web.sleep(seconds) waits, web.fetch(url, timeout=seconds) has a limit of its own"
    )
    run_in_executor = refuse("a component has no threads; call the function where it is needed")


loop = asyncio.get_event_loop()
loop.__class__ = Loop
support.await_result = await_result
