// The real CoreDNS with the few plugins that the test needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/dnstap"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/hosts"
)

func init() {
	// The order of CoreDNS's own plugin.cfg.
	dnsserver.Directives = []string{"errors", "dnstap", "cache", "hosts"}
}

func main() { coremain.Run() }
