package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	wire "tocsin/server/client"
)

// freeAddress is one of the loopback at which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// A socketSender is a publisher's WebSocket, with one message under way.
type socketSender struct{ conn *wire.Socket }

func openSocket(ctx context.Context, s *server, _ string) (sender, error) {
	token, err := s.token(publisher, group, "publish")
	if err != nil {
		return nil, err
	}
	c, err := wire.New("http://"+s.addr, token)
	if err != nil {
		return nil, err
	}
	conn, err := c.DialPublisher(ctx)
	return socketSender{conn}, err
}

func (c socketSender) close() { c.conn.Close() }

func (c socketSender) send(ctx context.Context, names namer, until time.Time) (alarms int, err error) {
	ctx, cancel := context.WithDeadline(ctx, until.Add(requestTimeout))
	defer cancel()
	var list []byte
	for time.Now().Before(until) {
		list = list[:0]
		for i := range doorMessage {
			list = alarmOf(append(list, "[,"[min(i, 1)]), names.next())
		}
		list = append(list, ']')
		if err := c.conn.Write(ctx, map[string]any{"op": "publish", "ref": 1, "alarms": json.RawMessage(list)}); err != nil {
			return alarms, err
		}
		answer, err := c.conn.Read(ctx)
		if err != nil {
			return alarms, err
		}
		if n := bytes.Count(answer, []byte(`"status":"raised"`)); n != doorMessage {
			return alarms, fmt.Errorf("%d of %d alarms were raised: %.500s", n, doorMessage, answer)
		}
		alarms += doorMessage
	}
	return alarms, nil
}

// mqttFlight is how many messages a connection sends before the first of them has
// been acknowledged.
const mqttFlight = 500

// An mqttSender is one connection of a device gateway.
type mqttSender struct{ client mqtt.Client }

func openMQTT(_ context.Context, s *server, address string) (sender, error) {
	token, err := s.token(publisher, group, "publish")
	if err != nil {
		return nil, err
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetUsername(publisher).SetPassword(token).
		SetClientID(fmt.Sprint("bench-", time.Now().UnixNano())).SetAutoReconnect(false).SetProtocolVersion(4))
	return mqttSender{c}, settled(c.Connect())
}

func (c mqttSender) close() { c.client.Disconnect(0) }

// settled waits for what was asked of a client.
func settled(t mqtt.Token) error {
	if !t.WaitTimeout(requestTimeout) {
		return errors.New("MQTT: no answer in time")
	}
	return t.Error()
}

func (c mqttSender) send(_ context.Context, names namer, until time.Time) (alarms int, err error) {
	var flight []mqtt.Token
	for time.Now().Before(until) {
		name := names.next()
		flight = append(flight, c.client.Publish("alarms/"+url.PathEscape(name), 1, false, alarmOf(nil, name)))
		if alarms++; len(flight) >= mqttFlight {
			if err := settled(flight[0]); err != nil {
				return alarms, err
			}
			flight = flight[1:]
		}
	}
	for _, t := range flight {
		err = errors.Join(err, settled(t))
	}
	return alarms, err
}
