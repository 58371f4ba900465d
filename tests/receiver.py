"""A real server for what is posted to webhooks."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """An HTTP server that keeps what was posted to it and answers what it is told, one after the other."""

    def __init__(self, context=None):
        self.posted, self.answers = [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                self.posted.append((handler.path, dict(handler.headers), body))
                answer = self.answers.pop(0) if self.answers else 200
                if callable(answer):
                    return answer(handler)
                status, headers, words = answer if isinstance(answer, tuple) else (answer, {}, b"so be it")
                handler.send_response(status)
                for name, value in headers.items():
                    handler.send_header(name, value)
                handler.end_headers()
                handler.wfile.write(words)

            def log_message(handler, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 200

            def handle_error(server, *_):
                """Whoever is told to be slow finds nobody left to answer."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}/hook?a=1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
