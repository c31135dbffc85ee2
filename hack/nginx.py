"""Debian's nginx serving a directory as fast as it can: the yardstick for throughput."""
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from serving import free_port

CONFIGURATION = """\
{user}
daemon off;
worker_processes 2;
pid {home}/nginx.pid;
error_log {home}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {home}/nginx-body;
    proxy_temp_path {home}/nginx-proxy;
    fastcgi_temp_path {home}/nginx-fastcgi;
    uwsgi_temp_path {home}/nginx-uwsgi;
    scgi_temp_path {home}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        root {files};
    }}
}}
"""


class Nginx:
    """Serves `files` on the loopback for as long as a `with` block lasts, which gets its address."""

    def __init__(self, home, files):
        self.home, self.files, self.port = home, files, free_port()

    def __enter__(self):
        config = self.home / "nginx.conf"
        # as root, its workers would change to a user that cannot read a private directory
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(CONFIGURATION.format(user=user, home=self.home, files=self.files, port=self.port))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", config, "-e", self.home / "nginx.log"],
                                        stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{self.port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/", timeout=5)
            except urllib.error.HTTPError:  # it has no index to show, but it is there
                return url
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        sys.exit(f"nginx does not start: see {self.home}/nginx.log")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
