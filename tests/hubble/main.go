// A Hubble observer as an agent has one, from Cilium's own API and gRPC's own server: it plays records from files of JSON lines.
//
// In: the address to listen on, files, and perhaps a certificate, its key and the authority of clients. Out: every record, then
// silence. Cilium's own types read the JSON, so that nothing of what is tested here is also what tests it.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type observer struct {
	observerpb.UnimplementedObserverServer
	records []*observerpb.GetFlowsResponse
}

func (o *observer) GetFlows(request *observerpb.GetFlowsRequest, stream observerpb.Observer_GetFlowsServer) error {
	since := request.GetSince()
	fmt.Printf("asked: follow=%v since=%v\n", request.GetFollow(), since.AsTime().Format(time.RFC3339))
	for _, record := range o.records {
		if since != nil && record.GetTime().AsTime().Before(since.AsTime()) {
			continue
		}
		if err := stream.Send(record); err != nil {
			return err
		}
	}
	if !request.GetFollow() {
		return nil
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	certificate := flag.String("certificate", "", "certificate of the server")
	key := flag.String("key", "", "its key")
	clients := flag.String("clients", "", "authority of clients")
	flag.Parse()
	o := &observer{}
	for _, name := range flag.Args() {
		o.read(name)
	}
	var options []grpc.ServerOption
	if *certificate != "" {
		options = append(options, grpc.Creds(secure(*certificate, *key, *clients)))
	}
	listener, err := net.Listen("tcp", *listen)
	must(err)
	server := grpc.NewServer(options...)
	observerpb.RegisterObserverServer(server, o)
	fmt.Printf("listening: %s records=%d\n", listener.Addr(), len(o.records))
	must(server.Serve(listener))
}

func (o *observer) read(name string) {
	file, err := os.Open(name)
	must(err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		record := &observerpb.GetFlowsResponse{}
		if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(lines.Bytes(), record) != nil {
			continue
		}
		if record.GetTime() == nil {
			record.Time = timestamppb.New(record.GetFlow().GetTime().AsTime())
		}
		o.records = append(o.records, record)
	}
	must(lines.Err())
}

func secure(certificate, key, clients string) credentials.TransportCredentials {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	must(err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clients != "" {
		text, err := os.ReadFile(clients)
		must(err)
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			must(fmt.Errorf("%s holds no certificate", clients))
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(config)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
