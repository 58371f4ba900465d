"""A customer's site: pages on an origin of their own, with the library of a workspace in them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What a careful site sends: nothing inline but its own script.
POLICY = "default-src 'none'; script-src 'nonce-own' {origin}; connect-src {origin}; base-uri 'none'"
# Besides, no markup and no script made out of texts: such a site has the library in a tag of its own.
TRUSTED = "; require-trusted-types-for 'script'; trusted-types 'none'"
# What a careless one writes: the library's elements must not care.
HOSTILE = "body > * { transform: scale(0) } div, section, p { display: none !important; opacity: 0 !important }"
# As Intercom's own: a stub that queues, and the library once the page is there.
LOADER = """
  (function () {
    var w = window, ic = w.Intercom;
    if (typeof ic === "function") { ic("reattach_activator"); ic("update", w.intercomSettings); return; }
    var i = function () { i.c(arguments); };
    i.q = [];
    i.c = function (args) { i.q.push(args); };
    w.Intercom = i;
    var load = function () {
      var s = document.createElement("script");
      s.async = true;
      s.src = "%(library)s";
      var x = document.getElementsByTagName("script")[0];
      x.parentNode.insertBefore(s, x);
    };
    if (document.readyState === "complete") load(); else w.addEventListener("load", load, false);
  })();
"""


class Site:
    """Serves pages: `site.page(settings, script)` returns the address of one."""

    def __init__(self, origin: str, app_id: str):
        self.origin, self.library = origin, f"{origin}/widget/{app_id}"
        self.files: dict[str, tuple[str, dict, bytes]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                kind, headers, content = site.files.get(self.path.partition("?")[0], ("text/plain", {}, b""))
                self.send_response(200)
                for name, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{self.server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def page(
        self,
        settings: dict | None,
        script: str = "",
        *,
        loader: str | None = None,
        css: str = "",
        trusts_nobody: bool = False,
    ) -> str:
        """Add a page with these intercomSettings, a script that runs right after the loader, and styles."""
        path = f"/{len(self.files)}"
        loader = LOADER % {"library": self.library} if loader is None and not trusts_nobody else loader or ""
        said = "" if settings is None else f"window.intercomSettings = {json.dumps(settings)};"
        policy = POLICY.format(origin=self.origin)
        styles = tag = ""
        if css:
            policy += "; style-src 'self'"
            styles = f"<link rel=stylesheet href={path}.css>"
            self.files[f"{path}.css"] = ("text/css", {}, css.encode())
        if trusts_nobody:
            policy += TRUSTED
            tag = f"<script async src={self.library}></script>"
        html = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>A site</title>{styles}"
            "<main><h1>A site</h1><p><a href='/'>Home</a></p></main>"
            f"<script nonce=own>{said}{loader};{script}</script>{tag}</html>"
        )
        self.files[path] = ("text/html", {"Content-Security-Policy": policy}, html.encode())
        return self.url + path
