"""Which of FFmpeg's formats are read: recordings that are one file, and open no other.

FFmpeg also "plays" playlists that open other files or addresses (concat, dash, hls, imf, sdp),
recordings whose parts are found by name beside them (mlv, vobsub, image2), devices, single
pictures, subtitles and plain text. What a later FFmpeg adds is not read before it stands here.
"""

from __future__ import annotations

from functools import cache

import av

_RECORDINGS = """
    3dostr 3g2 3gp 4xm aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix alaw alp
    amr amrnb amrwb anm apac apc ape apm apng aptx aptx_hd apv argo_asf argo_brp argo_cvg asf
    asf_o ast au av1 avi avr avs avs2 avs3 bethsoftvid bfi bfstm bink binka bit bitpacked bmv
    boa bonk brstm c93 caf cavsvideo cdg cdxl cine codec2 codec2raw daud dcstr derf dfa dfpwm
    dhav dirac dnxhd dsf dsicin dss dts dtshd dv dxa ea ea_cdata eac3 epaf evc f32be f32le
    f64be f64le film_cpk filmstrip fits flac flic flv frm fsb fwse g722 g723_1 g726 g726le
    g728 g729 gdv genh gif gsm gxf h261 h263 h264 hca hcom hevc hnm hxvs iamf idcin iff ifv
    ilbc ingenient ipmovie ipu ircam iss iv8 ivf ivr jpegxl_anim jv kux kvag laf lc3 live_flv
    lmlm4 loas luodat lvf lxf m4a m4v matroska mca mgsts mj2 mjpeg mjpeg_2000 mlp mm mmf mods
    moflex mov mp3 mp4 mpc mpc8 mpeg mpegts mpegtsraw mpegvideo mpjpeg msf msnwctcp msp mtaf
    mtv mulaw musx mv mvi mxf mxg nc nistsphere nsp nsv nut nuv obu ogg oma osq paf pdv pmp
    pp_bnk psxstr pva pvf qcp qoa r3d redspark rka rl2 rm roq rpl rsd rso s16be s16le s24be
    s24le s32be s32le s337m s8 sbc scd sdns sdr2 sds sdx ser sga shn siff simbiosis_imx sln
    smjpeg smk smush sol sox spdif svag svs swf tak thp tmv truehd tta ty u16be u16le u24be
    u24le u32be u32le u8 usm vag vc1 vc1test vidc vividas vivo vmd voc vpk vqf vvc w64 wady
    wav wavarc wc3movie webm wsaud wsd wsvqa wtv wv wve xa xmd xmv xvag xwma yop yuv4mpegpipe
"""


@cache
def readable() -> str:
    """The formats to be read that this FFmpeg has, as FFmpeg wants to be told.

    Example:
        >>> "matroska" in readable().split(","), "hls" in readable().split(",")
        (True, False)
    """
    # A demuxer such as "mov,mp4,m4a,…" is allowed when any one of its names is.
    known = {part for name in av.formats_available for part in name.split(",")}
    return ",".join(name for name in _RECORDINGS.split() if name in known)
