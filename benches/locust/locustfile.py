"""The scenario of scenario.toml for Locust: an independent client for the same load.

    locust -f benches/locust/locustfile.py --headless --stop-timeout 30 -H http://127.0.0.1:8000

`--ramp 8 --steady 15` make it shorter, `--peak 10` smaller; they are for `remuda load` the flags
`--ramp-up`, `--duration`, `--ramp-down` and `--users`.
"""

from pathlib import Path

from locust import FastHttpUser, LoadTestShape, between, events, task

BODY = Path(__file__).with_name("body.txt").read_bytes()


@events.init_command_line_parser.add_listener
def options(parser):
    parser.add_argument("--peak", type=int, default=50, help="users when it is steady")
    parser.add_argument("--ramp", type=float, default=30, help="seconds up, and down")
    parser.add_argument("--steady", type=float, default=60, help="seconds in between")


class Visitor(FastHttpUser):
    wait_time = between(0.5, 1.5)
    connection_timeout = 5
    network_timeout = 30

    def ask(self, method, path, check=lambda response: True, **more):
        with self.client.request(
            method, path, name=path.strip("/"), catch_response=True, **more
        ) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif not check(response):
                response.failure("a body without what was expected")

    @task(5)
    def text(self):
        self.ask("GET", "/text")

    @task(3)
    def json(self):
        self.ask("GET", "/json", check=lambda response: b"[" in response.content)

    @task(1)
    def echo(self):
        headers = {"content-type": "application/octet-stream"}
        self.ask("POST", "/echo", data=BODY, headers=headers)

    @task(1)
    def stream(self):
        self.ask("GET", "/stream")


class UpSteadyDown(LoadTestShape):
    def tick(self):
        options = self.runner.environment.parsed_options
        ramp, steady, peak = options.ramp, options.steady, options.peak
        at = self.get_run_time()
        if at >= 2 * ramp + steady:
            return None
        share = min(1, at / ramp, (2 * ramp + steady - at) / ramp) if ramp else 1
        # As many at once as it takes to be there: the shape is this one's, not Locust's.
        return round(peak * share), peak
