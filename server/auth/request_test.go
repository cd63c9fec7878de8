package auth

import (
	"errors"
	"net/http/httptest"
	"testing"
)

func TestWhereARequestCarriesItsToken(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		cookies []string // Cookie headers
		query   string
		allow   bool
		token   string
		from    Source
		err     error
	}{
		"a header":                          {headers: []string{"Bearer abc"}, token: "abc", from: FromHeader},
		"the scheme in any case":            {headers: []string{"bEARER abc"}, token: "abc", from: FromHeader},
		"several spaces":                    {headers: []string{"Bearer   abc"}, token: "abc", from: FromHeader},
		"the query":                         {query: "cursor=1&access_token=abc", allow: true, token: "abc", from: FromQuery},
		"the header before the query":       {headers: []string{"Bearer abc"}, query: "access_token=def", allow: true, token: "abc", from: FromHeader},
		"nothing":                           {allow: true, err: ErrMissing},
		"another parameter":                 {query: "token=abc&xaccess_token=d", allow: true, err: ErrMissing},
		"another parameter, broken":         {query: "cursor=%zz", allow: true, err: ErrMissing},
		"the query, switched off":           {query: "access_token=abc", err: ErrMissing},
		"an empty header":                   {headers: []string{""}, from: FromHeader, err: ErrInvalid},
		"a scheme alone":                    {headers: []string{"Bearer"}, from: FromHeader, err: ErrInvalid},
		"a scheme and a space":              {headers: []string{"Bearer "}, from: FromHeader, err: ErrInvalid},
		"a token alone":                     {headers: []string{"abc"}, from: FromHeader, err: ErrInvalid},
		"another scheme":                    {headers: []string{"Basic YTpi"}, from: FromHeader, err: ErrInvalid},
		"a tab for the space":               {headers: []string{"Bearer\tabc"}, from: FromHeader, err: ErrInvalid},
		"two words":                         {headers: []string{"Bearer abc def"}, from: FromHeader, err: ErrInvalid},
		"two headers":                       {headers: []string{"Bearer abc", "Bearer def"}, from: FromHeader, err: ErrInvalid},
		"a bad header never falls through":  {headers: []string{"Bearer"}, query: "access_token=abc", allow: true, from: FromHeader, err: ErrInvalid},
		"an empty parameter":                {query: "access_token=", allow: true, from: FromQuery, err: ErrInvalid},
		"two parameters":                    {query: "access_token=a&access_token=b", allow: true, from: FromQuery, err: ErrInvalid},
		"a parameter that cannot be read":   {query: "access_token=%zz", allow: true, from: FromQuery, err: ErrInvalid},
		"a parameter with a semicolon":      {query: "a=1;access_token=abc", allow: true, from: FromQuery, err: ErrInvalid},
		"a parameter with a space":          {query: "access_token=a+b", allow: true, from: FromQuery, err: ErrInvalid},
		"a parameter spelt with an escape":  {query: "acc%65ss_token=abc", allow: true, token: "abc", from: FromQuery},
		"a parameter with a line end in it": {query: "access_token=a%0d%0ab", allow: true, from: FromQuery, err: ErrInvalid},

		"a ticket":                              {query: "cursor=1&ticket=abc", token: "abc", from: FromTicket},
		"the header before a ticket":            {headers: []string{"Bearer abc"}, query: "ticket=def", token: "abc", from: FromHeader},
		"a ticket before the query":             {query: "access_token=abc&ticket=def", allow: true, token: "def", from: FromTicket},
		"a ticket before the query, off":        {query: "access_token=abc&ticket=def", token: "def", from: FromTicket},
		"a bad header before a ticket":          {headers: []string{"Basic x"}, query: "ticket=def", from: FromHeader, err: ErrInvalid},
		"a bad ticket before the query":         {query: "ticket=&access_token=abc", allow: true, from: FromTicket, err: ErrInvalid},
		"a bad ticket before the cookie":        {query: "ticket=%zz", cookies: []string{"tocsin_session=abc"}, from: FromTicket, err: ErrInvalid},
		"an escaped ticket that cannot be read": {query: "tick%65t=%zz", cookies: []string{"tocsin_session=abc"}, from: FromTicket, err: ErrInvalid},
		"a ticket behind a semicolon":           {query: "a=1;ticket=abc", cookies: []string{"tocsin_session=abc"}, from: FromTicket, err: ErrInvalid},
		"two tickets":                           {query: "ticket=a&ticket=b", from: FromTicket, err: ErrInvalid},
		"the word ticket, a broken pair":        {query: "q=ticket&cursor=%zz", cookies: []string{"tocsin_session=abc"}, token: "abc", from: FromCookie},

		"a cookie":                        {cookies: []string{"a=b; tocsin_session=abc; c=d"}, token: "abc", from: FromCookie},
		"a cookie in the second header":   {cookies: []string{"a=b", "tocsin_session=abc"}, token: "abc", from: FromCookie},
		"other cookies":                   {cookies: []string{"xtocsin_session=abc; tocsin_sessions=d; Tocsin_Session=e"}, err: ErrMissing},
		"the header before the cookie":    {headers: []string{"Bearer abc"}, cookies: []string{"tocsin_session=def"}, token: "abc", from: FromHeader},
		"a ticket before the cookie":      {query: "ticket=abc", cookies: []string{"tocsin_session=def"}, token: "abc", from: FromTicket},
		"the query before the cookie":     {query: "access_token=abc", allow: true, cookies: []string{"tocsin_session=def"}, token: "abc", from: FromQuery},
		"a bad header before the cookie":  {headers: []string{"Bearer"}, cookies: []string{"tocsin_session=def"}, from: FromHeader, err: ErrInvalid},
		"a bad query before the cookie":   {query: "access_token=%zz", allow: true, cookies: []string{"tocsin_session=def"}, from: FromQuery, err: ErrInvalid},
		"the query, off, and a cookie":    {query: "access_token=abc", cookies: []string{"tocsin_session=def"}, err: ErrMissing},
		"a bad query, off, and a cookie":  {query: "access_token=%zz", cookies: []string{"tocsin_session=def"}, err: ErrMissing},
		"two cookies of the name":         {cookies: []string{"tocsin_session=abc; tocsin_session=def"}, from: FromCookie, err: ErrInvalid},
		"two cookies in two headers":      {cookies: []string{"tocsin_session=abc", "tocsin_session=def"}, from: FromCookie, err: ErrInvalid},
		"an empty cookie":                 {cookies: []string{"tocsin_session="}, from: FromCookie, err: ErrInvalid},
		"a cookie without a value":        {cookies: []string{"tocsin_session"}, from: FromCookie, err: ErrInvalid},
		"a cookie with a space in it":     {cookies: []string{"tocsin_session=a b"}, from: FromCookie, err: ErrInvalid},
		"a cookie with a letter in UTF-8": {cookies: []string{"tocsin_session=\u00e4"}, from: FromCookie, err: ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/v1/inbox?"+c.query, nil)
			for _, h := range c.headers {
				r.Header.Add("Authorization", h)
			}
			for _, h := range c.cookies {
				r.Header.Add("Cookie", h)
			}
			token, from, err := FromRequest(r, c.allow)
			if token != c.token || from != c.from || !errors.Is(err, c.err) {
				t.Errorf("got %q from %q, %v; want %q from %q, %v", token, from, err, c.token, c.from, c.err)
			}
		})
	}
	r := httptest.NewRequest("GET", "/v1/inbox?access_token=abc", nil)
	_, _, err := FromRequest(r, false)
	reason(t, err, "switched off")
}
